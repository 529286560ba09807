//! A visit: who looks, in which language, and the frame that every page stands in.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::{StatusCode, header};
use actix_web::{FromRequest, HttpMessage as _, HttpRequest, HttpResponse, web};
use askama::Template;
use askama::filters::Safe;

use super::assets;
use super::guard::Anchor;
use super::refusal::Refusal;
use super::texts::Say;
use crate::access::{Role, Visitor, forms};
use crate::domain::{Actor, Language, Secret};
use crate::http::State;
use crate::http::pages::escape;
use crate::setup::Setup;

/// The menu: groups of (path, key of the text).
const MENU: [(&str, &[(&str, &str)]); 5] = [
    ("", &[("/admin/", "menu.home")]),
    (
        "menu.whatsapp",
        &[("/admin/apps/", "menu.apps"), ("/admin/wabas/", "menu.wabas"), ("/admin/phones/", "menu.phones")],
    ),
    (
        "menu.bitrix",
        &[
            ("/admin/portal-apps/", "menu.portal_apps"),
            ("/admin/portals/", "menu.portals"),
            ("/admin/lines/", "menu.lines"),
        ],
    ),
    (
        "menu.work",
        &[
            ("/admin/messages/", "menu.messages"),
            ("/admin/calls/", "menu.calls"),
            ("/admin/templates/", "menu.templates"),
            ("/admin/events/", "menu.events"),
            ("/admin/jobs/", "menu.jobs"),
            ("/admin/links/", "menu.links"),
            ("/admin/doctor/", "menu.doctor"),
        ],
    ),
    (
        "menu.panel",
        &[
            ("/admin/administrators/", "menu.administrators"),
            ("/admin/sessions/", "menu.sessions"),
            ("/admin/audit/", "menu.audit"),
            ("/admin/account/", "menu.account"),
        ],
    ),
];
/// What a page may say after a change was made; nothing else is taken from the address.
const DONE: [&str; 12] = [
    "saved",
    "created",
    "deleted",
    "linked",
    "unlinked",
    "retried",
    "dropped",
    "revoked",
    "sent",
    "checked",
    "repaired",
    "handed_in",
];

/// What a handler answers.
pub(super) type Answer = Result<HttpResponse, Refusal>;
/// What the server stands on, as a handler takes it.
pub(super) type Shared = web::Data<State>;
/// Our id of an object, from its address.
pub(super) type Id = web::Path<String>;

/// Who looks at a page, and what it stands on.
#[derive(Clone)]
pub(super) struct Visit {
    /// `None`: nobody is logged in.
    pub(super) visitor: Option<Visitor>,
    /// The texts.
    pub(super) say: Say,
    /// The token of this visit's forms.
    pub(super) csrf: String,
    path: String,
    done: Option<&'static str>,
}

/// The frame of a page, as the templates see it.
#[derive(Clone)]
pub(super) struct Shell {
    say: Say,
    pub(super) title: String,
    pub(super) csrf: String,
    pub(super) name: Option<String>,
    pub(super) may_change: bool,
    pub(super) css: String,
    pub(super) js: String,
    pub(super) done: Option<&'static str>,
    path: String,
}

/// One entry of the menu.
pub(super) struct Entry {
    pub(super) path: &'static str,
    pub(super) key: &'static str,
    pub(super) here: bool,
}

/// A group of the menu.
pub(super) struct Group {
    pub(super) key: &'static str,
    pub(super) entries: Vec<Entry>,
}

impl Visit {
    /// The visit of a request that the guard has looked at.
    pub(super) fn of(request: &HttpRequest, state: &State) -> Self {
        let visitor = request.extensions().get::<Visitor>().cloned();
        let anchor = request.extensions().get::<Anchor>().map(|anchor| anchor.0.clone());
        let language = visitor.as_ref().map_or_else(|| preferred(request), |visitor| visitor.language);
        let done = request.query_string().split('&').find_map(|pair| pair.strip_prefix("done="));
        Self {
            visitor,
            say: Say::new(state.texts.clone(), language),
            csrf: anchor.as_ref().map(forms::form_token).unwrap_or_default(),
            path: request.path().to_owned(),
            done: done.and_then(|done| DONE.into_iter().find(|known| *known == done)),
        }
    }

    /// The same visit once a cookie for its forms is set.
    pub(super) fn anchored(mut self, anchor: &Secret) -> Self {
        self.csrf = forms::form_token(anchor);
        self
    }

    /// The frame of a page with this title.
    pub(super) fn shell(&self, title: &str) -> Shell {
        Shell {
            say: self.say.clone(),
            title: title.to_owned(),
            csrf: self.csrf.clone(),
            name: self.visitor.as_ref().map(|visitor| visitor.name.clone()),
            may_change: self.may_change(),
            css: assets::css(),
            js: assets::js(),
            done: self.done,
            path: self.path.clone(),
        }
    }

    /// The frame of a page whose title is in the catalogue.
    pub(super) fn title(&self, key: &str) -> Shell {
        self.shell(self.say.t(key))
    }

    /// Whether the visitor may change the installation.
    pub(super) fn may_change(&self) -> bool {
        self.visitor.as_ref().is_some_and(|visitor| visitor.role == Role::Admin)
    }

    /// The use cases in the visitor's name.
    pub(super) fn setup(&self, state: &State) -> Setup {
        state.setup.on_behalf(Actor::Administrator(self.name()))
    }

    /// The visitor's name.
    pub(super) fn name(&self) -> String {
        self.visitor.as_ref().map(|visitor| visitor.name.clone()).unwrap_or_default()
    }
}

impl FromRequest for Visit {
    type Error = Refusal;
    type Future = Ready<Result<Self, Refusal>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let state = request.app_data::<web::Data<State>>();
        ready(state.map(|state| Self::of(request, state)).ok_or(Refusal::Database))
    }
}

impl Shell {
    /// The text of a key.
    pub(super) fn t<'a>(&'a self, key: &'a str) -> &'a str {
        self.say.t(key)
    }

    /// The text of a key with one gap filled.
    pub(super) fn t1(&self, key: &str, value: &dyn std::fmt::Display) -> String {
        self.say.t1(key, value)
    }

    /// A text in which what stands between backticks is shown as code.
    pub(super) fn marked(&self, text: &str) -> Safe<String> {
        Safe(with_code(text))
    }

    /// `en` or `ru`.
    pub(super) fn lang(&self) -> &'static str {
        self.say.language().code()
    }

    /// What was done, in words.
    pub(super) fn done_text(&self) -> Option<String> {
        self.done.map(|done| self.say.t(&format!("done.{done}")).to_owned())
    }

    /// The menu, with where the reader is.
    pub(super) fn menu(&self) -> Vec<Group> {
        let here = |path: &str| match path {
            "/admin/" => self.path == "/admin/",
            path => self.path.starts_with(path),
        };
        MENU.iter()
            .map(|(key, entries)| Group {
                key,
                entries: entries.iter().map(|(path, key)| Entry { path, key, here: here(path) }).collect(),
            })
            .collect()
    }
}

/// A page.
pub(super) fn render(status: StatusCode, page: &impl Template) -> HttpResponse {
    match page.render() {
        Ok(html) => HttpResponse::build(status).content_type("text/html; charset=utf-8").body(html),
        Err(error) => {
            tracing::error!(error = %error, "a page cannot be drawn");
            HttpResponse::InternalServerError().finish()
        }
    }
}

/// To another page of ours, after a change was made.
pub(super) fn go(path: impl AsRef<str>, done: &str) -> HttpResponse {
    let path = path.as_ref();
    let joint = if path.contains('?') { '&' } else { '?' };
    let done = if done.is_empty() { String::new() } else { format!("{joint}done={done}") };
    HttpResponse::SeeOther().insert_header((header::LOCATION, format!("{path}{done}"))).finish()
}

/// The browser's language, for those whose own is not known yet.
fn preferred(request: &HttpRequest) -> Language {
    let accepted = request.headers().get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
    Language::from_code(accepted.unwrap_or_default())
}

fn with_code(text: &str) -> String {
    let pieces: Vec<&str> = text.split('`').collect();
    let last = pieces.len() - 1;
    let html = pieces.iter().enumerate().map(|(at, piece)| match at % 2 {
        0 => escape(piece),
        // A backtick without its second is itself.
        _ if at == last => format!("`{}", escape(piece)),
        _ => format!("<code>{}</code>", escape(piece)),
    });
    html.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_between_backticks_is_code_and_never_markup() {
        for (text, html) in [
            ("Set `public_url`.", "Set <code>public_url</code>."),
            ("`<b>` & <i>", "<code>&lt;b&gt;</code> &amp; &lt;i&gt;"),
            ("a `b", "a `b"),
            ("", ""),
            ("``", "<code></code>"),
        ] {
            assert_eq!(with_code(text), html, "{text}");
        }
    }
}
