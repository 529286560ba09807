//! WhatsApp → Phones: what Meta says of a number, its line, its settings.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use askama::Template;

use super::calling::{self, Section};
use super::form::{Fault, Field, Form, version};
use super::list::{Badge, Cell, ListPage, Table, Tone};
use super::texts::Say;
use super::visit::{Answer, Id, Shared, Shell, Visit, go, render};
use crate::directory::{Binding, Snapshot};
use crate::domain::PhoneKey;
use crate::http::State;
use crate::setup::phones::PhoneChange;
use crate::store::phones::PhoneRow;

#[derive(Template)]
#[template(path = "phone.html")]
struct PhonePage {
    s: Shell,
    id: String,
    facts: Vec<(String, Cell)>,
    line: Option<(String, String)>,
    fields: Vec<Field>,
    fault: Fault,
    version: String,
    calling: Section,
}

/// `GET /admin/phones/`
pub(super) async fn list(visit: Visit, state: Shared) -> Answer {
    let say = &visit.say;
    let snapshot = state.directory.now();
    let heads =
        ["phones.number", "field.name", "list.state", "phones.quality", "phones.limit", "phones.line"];
    let mut table = Table::headed(say, &heads);
    for phone in &snapshot.phones {
        let row = &phone.row;
        let line = match snapshot.binding_of_phone(&phone.key) {
            Some(binding) => Cell::Text(line_text(&snapshot, binding)),
            None => Cell::State(Badge::new(Tone::Warn, say.t("phones.unlinked"))),
        };
        table.rows.push(vec![
            Cell::Link(format!("/admin/phones/{}/", phone.key), format!("+{}", phone.number)),
            Cell::Text(row.display_name.clone()),
            Cell::State(status_badge(say, row.status.as_deref().unwrap_or_default())),
            Cell::State(quality_badge(say, row.quality.as_deref().unwrap_or_default())),
            Cell::Text(row.messaging_limit.as_deref().map(|tier| say.word("tier", tier)).unwrap_or_default()),
            line,
        ]);
    }
    let page = ListPage::new(visit.title("menu.phones"), say.t("phones.lead"), say.t("phones.empty"), table);
    Ok(render(StatusCode::OK, &page))
}

/// `GET /admin/phones/{id}/`
pub(super) async fn show(visit: Visit, state: Shared, id: Id) -> Answer {
    let row = state.setup.phone(&id).await?;
    Ok(draw(&visit, &state, &row, &typed(&row), Fault::default()))
}

/// `POST /admin/phones/{id}/`
pub(super) async fn change(visit: Visit, state: Shared, id: Id, form: Form) -> Answer {
    let change = PhoneChange {
        sms_service: Some(form.ticked("sms_service")),
        read_receipts: Some(form.ticked("read_receipts")),
        system_messages: Some(form.get("system_messages").to_owned()),
        signature: Some(form.get("signature").to_owned()),
        closed_window: Some(form.get("closed_window").to_owned()),
        fallback_template: Some(form.option("fallback_template")),
        default_language: Some(form.option("default_language")),
        sms_to_chat: Some(form.ticked("sms_to_chat")),
        crm_user_id: Some(form.option("crm_user_id")),
        stop_words: Some(words(form.get("stop_words"))),
    };
    match visit.setup(&state).having_seen(form.seen()).change_phone(&id, change).await {
        Ok(row) => Ok(go(format!("/admin/phones/{}/", row.id), "saved")),
        Err(error) => {
            let fault = Fault::of(error, &visit.say)?;
            let row = state.setup.phone(&id).await?;
            Ok(draw(&visit, &state, &row, &form, fault))
        }
    }
}

/// `POST /admin/phones/{id}/delete`
pub(super) async fn delete(visit: Visit, state: Shared, id: Id, _form: Form) -> Answer {
    visit.setup(&state).delete_phone(&id).await?;
    Ok(go("/admin/phones/", "deleted"))
}

/// Meta's state of a number, as it looks.
pub(super) fn status_badge(say: &Say, status: &str) -> Badge {
    let tone = match status {
        "CONNECTED" => Tone::Good,
        "" => Tone::Calm,
        "BANNED" | "DELETED" | "RESTRICTED" => Tone::Bad,
        _ => Tone::Warn,
    };
    let text = if status.is_empty() { say.t("state.unknown").to_owned() } else { say.word("meta", status) };
    Badge::new(tone, text)
}

fn quality_badge(say: &Say, quality: &str) -> Badge {
    let tone = match quality {
        "GREEN" => Tone::Good,
        "YELLOW" => Tone::Warn,
        "RED" => Tone::Bad,
        _ => Tone::Calm,
    };
    let text = if quality.is_empty() { say.t("state.unknown").to_owned() } else { say.word("meta", quality) };
    Badge::new(tone, text)
}

/// Portal and line of a binding.
pub(super) fn line_text(snapshot: &Snapshot, binding: &Binding) -> String {
    let portal = snapshot.portal(&binding.portal).map(|portal| portal.row.domain.as_str()).unwrap_or("?");
    format!("{portal} · {}", binding.line_name)
}

/// `en, ru` as a list.
fn words(text: &str) -> Vec<String> {
    let separator = |c: char| c == ',' || c.is_whitespace();
    text.split(separator).filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
}

fn typed(row: &PhoneRow) -> Form {
    let mut form = Form::default();
    let ticked = |on: bool| if on { "on" } else { "" };
    form.put("sms_service", ticked(row.sms_service));
    form.put("read_receipts", ticked(row.read_receipts));
    form.put("sms_to_chat", ticked(row.sms_to_chat));
    form.put("system_messages", &row.system_messages);
    form.put("signature", &row.signature);
    form.put("closed_window", &row.closed_window);
    form.put("fallback_template", row.fallback_template.as_deref().unwrap_or_default());
    form.put("default_language", row.default_language.as_deref().unwrap_or_default());
    form.put("crm_user_id", row.crm_user_id.as_deref().unwrap_or_default());
    form.put("stop_words", &row.stop_words);
    form.put("version", &version(row.updated_at));
    form
}

fn fields(say: &Say, form: &Form) -> Vec<Field> {
    let choice = |name: &'static str, words: &[&str]| {
        let of = words.iter().map(|word| ((*word).to_owned(), say.word(name, word))).collect();
        Field::choice(say, name, form.get(name), of).required()
    };
    vec![
        choice("closed_window", &["tell", "template", "hold"]),
        Field::text(say, "fallback_template", form.get("fallback_template")),
        Field::text(say, "default_language", form.get("default_language")),
        choice("system_messages", &["drop", "send"]),
        choice("signature", &["strip", "keep"]),
        Field::check(say, "read_receipts", form.ticked("read_receipts")),
        Field::check(say, "sms_service", form.ticked("sms_service")),
        Field::check(say, "sms_to_chat", form.ticked("sms_to_chat")),
        Field::text(say, "crm_user_id", form.get("crm_user_id")),
        Field::text(say, "stop_words", form.get("stop_words")),
    ]
}

/// The page with a section of calls that was not taken.
pub(super) fn with_calling(visit: &Visit, state: &State, row: &PhoneRow, calling: Section) -> HttpResponse {
    draw_all(visit, state, row, &typed(row), Fault::default(), calling)
}

fn draw(visit: &Visit, state: &State, row: &PhoneRow, form: &Form, fault: Fault) -> HttpResponse {
    let calling = calling::section(&visit.say, state, row, None, Fault::default());
    draw_all(visit, state, row, form, fault, calling)
}

fn draw_all(
    visit: &Visit,
    state: &State,
    row: &PhoneRow,
    form: &Form,
    mut fault: Fault,
    calling: Section,
) -> HttpResponse {
    let say = &visit.say;
    let snapshot = state.directory.now();
    let mut fields = fields(say, form);
    fault.mark(&mut fields);
    let fact = |key: &str, cell: Cell| (say.t(key).to_owned(), cell);
    let text = |value: &Option<String>| Cell::Text(value.clone().unwrap_or_else(|| "—".to_owned()));
    let mut facts = vec![
        fact("list.state", Cell::State(status_badge(say, row.status.as_deref().unwrap_or_default()))),
        fact("phones.quality", Cell::State(quality_badge(say, row.quality.as_deref().unwrap_or_default()))),
        fact("phones.limit", text(&row.messaging_limit.as_ref().map(|tier| say.word("tier", tier)))),
        fact("phones.display_name", Cell::Text(row.display_name.clone())),
        fact("phones.name_status", text(&row.name_status.as_ref().map(|word| say.word("meta", word)))),
        fact("field.phone_number_id", Cell::Code(row.phone_number_id.clone())),
    ];
    if let Some(waba) = snapshot.wabas.iter().find(|waba| waba.key.as_str() == row.waba_key) {
        let href = format!("/admin/wabas/{}/", waba.key);
        facts.push(fact("menu.wabas", Cell::Link(href, waba.waba_id.to_string())));
    }
    // Files have one setting for all numbers.
    let megabytes = state.config.media.max_bytes / (1024 * 1024);
    let days = state.config.retention.media.as_secs() / (24 * 3600);
    let files = say.t1("phones.files_text", &megabytes).replacen("{}", &days.to_string(), 1);
    facts.push(fact("phones.files", Cell::Text(files)));
    if let Some(note) = &row.security_note {
        facts.push(fact("phones.security", Cell::State(Badge::new(Tone::Warn, note.clone()))));
    }
    let binding = snapshot.binding_of_phone(&PhoneKey::from(row.id.as_str()));
    let status = if calling.fault.status.is_success() { fault.status } else { calling.fault.status };
    let page = PhonePage {
        s: visit.shell(&format!("+{}", row.phone_number)),
        id: row.id.clone(),
        facts,
        line: binding.map(|binding| (binding.portal.to_string(), line_text(&snapshot, binding))),
        fields,
        fault,
        version: form.get("version").to_owned(),
        calling,
    };
    render(status, &page)
}
