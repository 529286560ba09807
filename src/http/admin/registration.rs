//! A phone's registration at Meta, and its business profile.

use actix_web::{HttpResponse, web};
use askama::Template;

use super::form::{Fault, Field, Form, FormToken, Kind};
use super::refusal::Refusal;
use super::visit::{Shell, Visit, go, render};
use crate::domain::Secret;
use crate::http::State;
use crate::setup::SetupError;
use crate::setup::registration::{VERTICALS, profile_mark};
use crate::whatsapp::client::BusinessProfile;

type Answer = Result<HttpResponse, Refusal>;

#[derive(Template)]
#[template(path = "registration.html")]
struct RegistrationPage {
    s: Shell,
    id: String,
    number: String,
    code: Vec<Field>,
    verify: Vec<Field>,
    register: Vec<Field>,
    fault: Fault,
}

#[derive(Template)]
#[template(path = "profile.html")]
struct ProfilePage {
    s: Shell,
    id: String,
    number: String,
    fields: Vec<Field>,
    picture: bool,
    version: String,
    fault: Fault,
}

/// `GET /admin/phones/{id}/registration`
pub(super) async fn show(visit: Visit, state: web::Data<State>, id: web::Path<String>) -> Answer {
    draw(&visit, &state, &id, &Form::default(), Fault::default()).await
}

/// `POST /admin/phones/{id}/code`
pub(super) async fn code(visit: Visit, state: web::Data<State>, id: web::Path<String>, form: Form) -> Answer {
    let setup = visit.setup(&state);
    let asked = setup.request_code(&id, form.get("method"), form.get("code_language")).await;
    settled(&visit, &state, &id, &form, asked, "sent").await
}

/// `POST /admin/phones/{id}/verify`
pub(super) async fn verify(
    visit: Visit,
    state: web::Data<State>,
    id: web::Path<String>,
    form: Form,
) -> Answer {
    let verified = visit.setup(&state).verify_code(&id, &Secret::from(form.get("code").trim())).await;
    settled(&visit, &state, &id, &form, verified, "saved").await
}

/// `POST /admin/phones/{id}/register`
pub(super) async fn register(
    visit: Visit,
    state: web::Data<State>,
    id: web::Path<String>,
    form: Form,
) -> Answer {
    let registered = visit.setup(&state).register_phone(&id, &Secret::from(form.get("pin").trim())).await;
    settled(&visit, &state, &id, &form, registered, "saved").await
}

/// `GET /admin/phones/{id}/profile`
pub(super) async fn profile(visit: Visit, state: web::Data<State>, id: web::Path<String>) -> Answer {
    let mut form = Form::default();
    let (picture, fault) = match state.setup.profile(&id).await {
        Ok(known) => {
            form.put("about", &known.about);
            form.put("address", &known.address);
            form.put("description", &known.description);
            form.put("email", &known.email);
            form.put("websites", &known.websites.join("\n"));
            form.put("vertical", &known.vertical);
            form.put("version", &profile_mark(&known));
            (known.profile_picture_url.is_some(), Fault::default())
        }
        Err(error) => (false, Fault::of(error, &visit.say)?),
    };
    draw_profile(&visit, &state, &id, &form, picture, fault).await
}

/// `POST /admin/phones/{id}/profile`
pub(super) async fn change_profile(
    visit: Visit,
    state: web::Data<State>,
    id: web::Path<String>,
    form: Form,
) -> Answer {
    let text = |name: &str| form.get(name).trim().to_owned();
    let profile = BusinessProfile {
        about: text("about"),
        address: text("address"),
        description: text("description"),
        email: text("email"),
        websites: form.get("websites").split_whitespace().map(str::to_owned).collect(),
        vertical: text("vertical"),
        profile_picture_url: None,
    };
    match visit.setup(&state).change_profile(&id, profile, form.option("version")).await {
        Ok(()) => Ok(go(format!("/admin/phones/{id}/profile"), "saved")),
        Err(error) => {
            let fault = Fault::of(error, &visit.say)?;
            draw_profile(&visit, &state, &id, &form, false, fault).await
        }
    }
}

/// `POST /admin/phones/{id}/picture`: the picture itself, cut square by the page's script.
pub(super) async fn picture(
    visit: Visit,
    state: web::Data<State>,
    id: web::Path<String>,
    _ours: FormToken,
    body: web::Bytes,
) -> Answer {
    match visit.setup(&state).change_picture(&id, &body).await {
        Ok(()) => Ok(HttpResponse::NoContent().finish()),
        Err(SetupError::Invalid(faults)) => {
            let said = faults.first().map(|fault| visit.say.wrong(fault)).unwrap_or_default();
            Ok(HttpResponse::UnprocessableEntity().content_type("text/plain; charset=utf-8").body(said))
        }
        Err(error) => match Refusal::from(error) {
            Refusal::Said(status, said) => {
                let said = visit.say.said(&said);
                Ok(HttpResponse::build(status).content_type("text/plain; charset=utf-8").body(said))
            }
            refusal => Err(refusal),
        },
    }
}

async fn settled(
    visit: &Visit,
    state: &State,
    id: &str,
    form: &Form,
    outcome: Result<(), SetupError>,
    done: &str,
) -> Answer {
    match outcome {
        Ok(()) => Ok(go(format!("/admin/phones/{id}/registration"), done)),
        Err(error) => draw(visit, state, id, form, Fault::of(error, &visit.say)?).await,
    }
}

async fn draw(visit: &Visit, state: &State, id: &str, form: &Form, mut fault: Fault) -> Answer {
    let row = state.setup.phone(id).await?;
    let say = &visit.say;
    let methods = ["SMS", "VOICE"].map(|word| (word.to_owned(), say.word("method", word))).to_vec();
    let or = |name: &str, default: &str| {
        let typed = form.get(name);
        if typed.is_empty() { default.to_owned() } else { typed.to_owned() }
    };
    let mut code = vec![
        Field::choice(say, "method", form.get("method"), methods).required(),
        Field::text(say, "code_language", &or("code_language", "en_US")).required(),
    ];
    let mut verify = vec![Field::text(say, "code", form.get("code")).required()];
    let mut register = vec![Field::secret(say, "pin", form.get("pin")).required()];
    let mut all: Vec<Field> = code.drain(..).chain(verify.drain(..)).chain(register.drain(..)).collect();
    fault.mark(&mut all);
    for field in all {
        match field.name {
            "pin" => register.push(field),
            "code" => verify.push(field),
            _ => code.push(field),
        }
    }
    let (status, number) = (fault.status, format!("+{}", row.phone_number));
    let shell = visit.title("phones.registration");
    let page = RegistrationPage { s: shell, id: row.id, number, code, verify, register, fault };
    Ok(render(status, &page))
}

async fn draw_profile(
    visit: &Visit,
    state: &State,
    id: &str,
    form: &Form,
    picture: bool,
    mut fault: Fault,
) -> Answer {
    let row = state.setup.phone(id).await?;
    let say = &visit.say;
    let verticals = VERTICALS.map(|word| (word.to_owned(), say.word("vertical", word))).to_vec();
    let mut fields = vec![
        Field::text(say, "about", form.get("about")).required(),
        Field::new(say, "description", form.get("description"), Kind::Area),
        Field::text(say, "address", form.get("address")),
        Field::text(say, "email", form.get("email")),
        Field::new(say, "websites", form.get("websites"), Kind::Area),
        Field::choice(say, "vertical", form.get("vertical"), verticals).required(),
    ];
    fault.mark(&mut fields);
    let title = say.t("phones.profile").to_owned();
    let status = fault.status;
    let number = format!("+{}", row.phone_number);
    let version = form.get("version").to_owned();
    let page = ProfilePage { s: visit.shell(&title), id: row.id, number, fields, picture, version, fault };
    Ok(render(status, &page))
}
