//! Creating, editing, deleting templates, and what Meta's review says of them (whatsapp facts §1.10, §4.2).

use serde_json::{Map, Value, json};

use super::super::SimCloud;
use super::super::account::map;
use super::super::errors::GraphError;
use super::super::server::{Call, Reply};
use super::super::state::State;
use super::{component, rules, uploads, word};

/// `POST /{waba}/message_templates`
pub(in crate::sandbox::cloud) fn create(
    cloud: &SimCloud,
    call: &Call,
    waba_id: &str,
) -> Result<Reply, GraphError> {
    let mut template = map(call.json()?);
    let asked = Value::Object(template.clone());
    rules::head(&asked)?;
    let state = &mut *cloud.state();
    rules::body(&asked, |handle| uploads::is_handle(&state.uploads, handle))?;
    let id = state.rng.object_id();
    let most = most(state, waba_id);
    let Some(waba) = state.wabas.get_mut(waba_id) else { return Err(GraphError::no_object("post", waba_id)) };
    let same = |known: &&Value| {
        word(known, "name") == word(&asked, "name") && word(known, "language") == word(&asked, "language")
    };
    if waba.templates.iter().any(|known| same(&known)) {
        let message = "There is already content for this name in this language.";
        let refusal = GraphError { subcode: Some(2_388_024), ..GraphError::parameter("Invalid parameter") };
        return Err(refusal.for_people("Content in this language already exists", message));
    }
    if waba.templates.len() >= most {
        let message = format!("This account has reached its limit of {most} message templates.");
        let refusal = GraphError { subcode: Some(2_388_019), ..GraphError::parameter("Invalid parameter") };
        return Err(refusal.for_people("Message template limit exceeded", message));
    }
    template.insert("id".into(), id.as_str().into());
    template.insert("status".into(), "PENDING".into());
    template.entry("parameter_format").or_insert_with(|| "POSITIONAL".into());
    template.insert("quality_score".into(), json!({"score": "UNKNOWN"}));
    let answer = json!({"id": id, "status": "PENDING", "category": word(&asked, "category")});
    waba.templates.push(Value::Object(template));
    Ok(Reply::ok(answer))
}

/// The numbers of `summary=…` of a list of templates.
pub(in crate::sandbox::cloud) fn counts(state: &State, waba_id: &str) -> Value {
    let has = state.wabas.get(waba_id).map(|waba| waba.templates.len()).unwrap_or_default();
    json!({"total_count": has, "message_template_count": has, "message_template_limit": most(state, waba_id)})
}

/// Templates that an account may have: few, unless its business is verified and a number has an approved name.
fn most(state: &State, waba_id: &str) -> usize {
    let waba = state.wabas.get(waba_id);
    let verified = waba.is_some_and(|waba| {
        waba.node.get("business_verification_status").and_then(Value::as_str) == Some("verified")
    });
    let named = state
        .phones
        .iter()
        .filter(|phone| phone.waba_id == waba_id)
        .any(|phone| phone.node.get("name_status").and_then(Value::as_str) == Some("APPROVED"));
    if verified && named { 6_000 } else { 250 }
}

/// `GET /{template}` gives the node; `POST /{template}` replaces all its components.
pub(in crate::sandbox::cloud) fn edit(cloud: &SimCloud, call: &Call, id: &str) -> Result<Reply, GraphError> {
    let change = map(call.json()?);
    let (waba_id, news) = {
        let state = &mut *cloud.state();
        let known = find(state, id).ok_or_else(|| GraphError::no_object("post", id))?;
        if !["APPROVED", "REJECTED", "PAUSED"].contains(&word(&known.1, "status")) {
            return Err(GraphError::parameter("Message template cannot be edited in its state."));
        }
        let category = change.get("category").and_then(Value::as_str);
        let changes_category = category.is_some_and(|category| category != word(&known.1, "category"));
        if changes_category && word(&known.1, "status") == "APPROVED" {
            return Err(GraphError::parameter("Category of an approved template cannot be changed."));
        }
        let mut edited = map(known.1.clone());
        edited.extend(change.into_iter().filter(|(key, _)| key == "components" || key == "category"));
        let edited = Value::Object(edited);
        rules::body(&edited, |handle| {
            let kept =
                component(&known.1, "HEADER").and_then(|header| header.pointer("/example/header_handle/0"));
            uploads::is_handle(&state.uploads, handle) || (handle.is_some() && handle == kept)
        })?;
        let news = components_news(&edited);
        change_one(state, id, |template| {
            template.clone_from(&map(edited.clone()));
            template.insert("status".into(), "PENDING".into());
            template.remove("rejected_reason");
        });
        (known.0, news)
    };
    cloud.post_change(&waba_id, "message_template_components_update", news);
    Ok(Reply::ok(json!({"success": true})))
}

/// `DELETE /{waba}/message_templates?name=…[&hsm_id=…]`
pub(in crate::sandbox::cloud) fn delete(
    cloud: &SimCloud,
    call: &Call,
    waba_id: &str,
) -> Result<Reply, GraphError> {
    let name =
        call.query.get("name").ok_or_else(|| GraphError::parameter("The parameter name is required."))?;
    let id = call.query.get("hsm_id");
    let gone: Vec<Value> = {
        let mut state = cloud.state();
        let Some(waba) = state.wabas.get_mut(waba_id) else {
            return Err(GraphError::no_object("delete", waba_id));
        };
        let fits = |template: &Value| {
            word(template, "name") == name && id.is_none_or(|id| word(template, "id") == id)
        };
        let gone = waba.templates.iter().filter(|template| fits(template)).cloned().collect();
        waba.templates.retain(|template| !fits(template));
        gone
    };
    if gone.is_empty() {
        let refusal = GraphError { subcode: Some(2_593_002), ..GraphError::parameter("Invalid parameter") };
        return Err(refusal.for_people("Message template not found", "There is no template with this name."));
    }
    for template in gone {
        let news = status_news(&template, "DELETED", None);
        cloud.post_change(waba_id, "message_template_status_update", news);
    }
    Ok(Reply::ok(json!({"success": true})))
}

impl SimCloud {
    /// The templates of an account, as they stand.
    pub fn templates(&self, waba_id: &str) -> Vec<Value> {
        self.state().wabas.get(waba_id).map(|waba| waba.templates.clone()).unwrap_or_default()
    }

    /// The templates of the account that a number belongs to.
    pub fn templates_of_phone(&self, phone_number_id: &str) -> Vec<Value> {
        let state = self.state();
        let waba = state.phone(phone_number_id).and_then(|(_, phone)| state.wabas.get(&phone.waba_id));
        waba.map(|waba| waba.templates.clone()).unwrap_or_default()
    }

    /// Meta's review or its quality control decides: the webhook goes out. False if there is no such template.
    pub fn decide_template(&self, id: &str, status: &str, reason: Option<&str>) -> bool {
        let found = {
            let mut state = self.state();
            change_one(&mut state, id, |template| {
                template.insert("status".into(), status.into());
                template.remove("rejected_reason");
                if let (Some(reason), "REJECTED") = (reason, status) {
                    template.insert("rejected_reason".into(), reason.into());
                }
            });
            find(&state, id)
        };
        let Some((waba_id, template)) = found else { return false };
        let news = status_news(&template, status, reason);
        self.post_change(&waba_id, "message_template_status_update", news);
        self.touch();
        true
    }

    /// Meta rates a template otherwise.
    pub fn rate_template(&self, id: &str, quality: &str) {
        let found = {
            let mut state = self.state();
            let before = find(&state, id);
            change_one(&mut state, id, |template| {
                template.insert("quality_score".into(), json!({ "score": quality }));
            });
            before
        };
        let Some((waba_id, template)) = found else { return };
        let before = template.pointer("/quality_score/score").cloned().unwrap_or_else(|| "UNKNOWN".into());
        let mut news = about(&template);
        news.insert("previous_quality_score".into(), before);
        news.insert("new_quality_score".into(), quality.into());
        self.post_change(&waba_id, "message_template_quality_update", Value::Object(news));
    }

    /// Takes a template out without a word, as when a webhook is missed.
    pub fn forget_template(&self, id: &str) {
        for waba in self.state().wabas.values_mut() {
            waba.templates.retain(|template| word(template, "id") != id);
        }
    }
}

/// The account and the node of a template.
pub(in crate::sandbox::cloud) fn find(state: &State, id: &str) -> Option<(String, Value)> {
    let of = |waba: &super::super::state::Waba| {
        let found = waba.templates.iter().find(|template| word(template, "id") == id)?;
        Some((waba.id.clone(), found.clone()))
    };
    state.wabas.values().find_map(of)
}

fn change_one(state: &mut State, id: &str, change: impl FnOnce(&mut Map<String, Value>)) {
    let all = state.wabas.values_mut().flat_map(|waba| waba.templates.iter_mut());
    if let Some(template) = all.filter(|template| word(template, "id") == id).find_map(Value::as_object_mut) {
        change(template);
    }
}

/// Ids are numbers in webhooks, and languages have a dash in most of them.
fn about(template: &Value) -> Map<String, Value> {
    let id = word(template, "id");
    map(json!({
        "message_template_id": id.parse::<u64>().map_or_else(|_| Value::from(id), Value::from),
        "message_template_name": word(template, "name"),
        "message_template_language": word(template, "language").replace('_', "-"),
    }))
}

fn status_news(template: &Value, event: &str, reason: Option<&str>) -> Value {
    let mut news = about(template);
    news.insert("event".into(), event.into());
    news.insert("message_template_category".into(), word(template, "category").into());
    match (event, reason) {
        ("PAUSED" | "DISABLED", Some(title)) => {
            news.insert("reason".into(), "NONE".into());
            let description = "Your template has been paused because it got too much negative feedback.";
            news.insert("other_info".into(), json!({"title": title, "description": description}));
        }
        (_, reason) => {
            news.insert("reason".into(), reason.unwrap_or("NONE").into());
        }
    }
    Value::Object(news)
}

fn components_news(template: &Value) -> Value {
    let text =
        |kind: &str| component(template, kind).map(|one| word(one, "text")).filter(|text| !text.is_empty());
    let mut news = about(template);
    for (key, kind) in [
        ("message_template_title", "HEADER"),
        ("message_template_element", "BODY"),
        ("message_template_footer", "FOOTER"),
    ] {
        if let Some(text) = text(kind) {
            news.insert(key.into(), text.into());
        }
    }
    let buttons = component(template, "BUTTONS").and_then(|one| one.get("buttons")?.as_array());
    if let Some(buttons) = buttons {
        let list: Vec<Value> = buttons
            .iter()
            .map(|button| {
                let pairs = ["type", "text", "url", "phone_number"].into_iter().filter_map(|key| {
                    Some((format!("message_template_button_{key}"), button.get(key)?.clone()))
                });
                Value::Object(pairs.collect())
            })
            .collect();
        news.insert("message_template_buttons".into(), list.into());
    }
    Value::Object(news)
}
