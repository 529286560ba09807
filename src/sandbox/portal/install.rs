//! Applications: created, installed, opened, removed; and the portal's rename (bitrix24 facts §2.1–§2.3).

use serde_json::{Value, json};
use url::Url;
use uuid::Uuid;

use super::events::Event;
use super::oauth::{ACCESS_S, secret};
use super::state::{ADMIN, App, Binding, OPERATOR};
use super::{Inner, SimPortal, form};

/// Credentials of a local application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimApp {
    /// `local.xxxxxxxxxxxxxx.xxxxxxxx`
    pub client_id: String,
    /// The secret that only the OAuth server and the application know.
    pub client_secret: String,
}

/// What the install address answered.
#[derive(Clone, Debug)]
pub struct InstallOutcome {
    /// HTTP status; `None` when nobody answered.
    pub status: Option<u16>,
    /// The page, for an application with UI; else the body that the real portal ignores.
    pub html: String,
}

/// What a page in the portal's iframe answered.
#[derive(Clone, Debug)]
pub struct PageAnswer {
    /// HTTP status; 0 when nobody answered.
    pub status: u16,
    /// Headers with lower-case names.
    pub headers: Vec<(String, String)>,
    /// The page.
    pub html: String,
}

impl SimPortal {
    /// An administrator adds a local application; not installed yet.
    pub fn create_local_app(
        &self,
        handler_url: &str,
        install_url: &str,
        ui: bool,
        scopes: &[&str],
    ) -> SimApp {
        let digits = Uuid::new_v4().simple().to_string();
        let (head, tail) = (digits.get(..14).unwrap_or_default(), digits.as_bytes());
        let number: u64 = tail.iter().fold(0, |sum, byte| (sum * 31 + u64::from(*byte)) % 100_000_000);
        let app = SimApp { client_id: format!("local.{head}.{number:08}"), client_secret: secret() };
        let row = App {
            client_secret: app.client_secret.clone(),
            handler_url: handler_url.to_owned(),
            install_url: install_url.to_owned(),
            ui,
            scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
            application_token: Uuid::new_v4().simple().to_string(),
            installed: false,
            finished: false,
        };
        self.inner.state().apps.insert(app.client_id.clone(), row);
        app
    }

    /// Installs: without UI the server posts `ONAPPINSTALL` and the application counts as installed at
    /// once; with UI the administrator's browser posts the install page, which must still finish.
    pub async fn install(&self, client_id: &str) -> InstallOutcome {
        let (ui, install_url) = {
            let mut state = self.inner.state();
            let Some(app) = state.apps.get_mut(client_id) else {
                return InstallOutcome { status: None, html: String::new() };
            };
            app.installed = true;
            app.finished = !app.ui;
            (app.ui, app.install_url.clone())
        };
        self.inner.changed();
        if ui {
            let page = self.inner.show(client_id, &install_url, "DEFAULT", json!({}), ADMIN).await;
            return InstallOutcome {
                status: Some(page.status).filter(|status| *status != 0),
                html: page.html,
            };
        }
        let form = {
            let mut state = self.inner.state();
            let auth = self.inner.auth_block(&mut state, client_id, Some(ADMIN), true);
            let language = &self.inner.options.language;
            let data = json!({"VERSION": 1, "ACTIVE": "Y", "INSTALLED": "Y", "LANGUAGE_ID": language});
            self.inner.event_form("ONAPPINSTALL", None, &data, &auth)
        };
        let page = self.inner.submit(&install_url, form).await;
        let status = Some(page.status).filter(|status| *status != 0);
        self.inner.observe(|| json!({"kind": "event", "event": "ONAPPINSTALL", "status": status}));
        InstallOutcome { status, html: page.html }
    }

    /// What `BX24.installFinish()` does in the browser.
    pub fn finish_install(&self, client_id: &str) {
        if let Some(app) = self.inner.state().apps.get_mut(client_id) {
            app.finished = app.installed;
        }
        self.inner.changed();
    }

    /// An administrator ticks these scopes of the application and no others.
    pub fn set_scopes(&self, client_id: &str, scopes: &[&str]) {
        if let Some(app) = self.inner.state().apps.get_mut(client_id) {
            app.scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        }
        self.inner.changed();
    }

    /// A handler that was bound at another time, say for an address that the bridge had before.
    pub fn bind_event(&self, client_id: &str, event: &str, handler: &str) {
        let mut state = self.inner.state();
        let id = state.new_id();
        let (client_id, event, handler) = (client_id.to_owned(), event.to_uppercase(), handler.to_owned());
        state.bindings.push(Binding { id, client_id, event, handler, auth_type: 0 });
    }

    /// The portal lost the SMS senders of an application.
    pub fn lose_senders(&self, client_id: &str) {
        self.inner.state().sms_senders.retain(|(owner, _), _| owner != client_id);
    }

    /// The portal lost a connector; its lines stay as they are.
    pub fn lose_connector(&self, code: &str) {
        self.inner.state().connectors.remove(code);
    }

    /// The portal lost the handlers of an application.
    pub fn lose_bindings(&self, client_id: &str, event: &str) {
        self.inner.state().bindings.retain(|one| one.client_id != client_id || one.event != event);
    }

    /// The application is updated: `ONAPPUPDATE` with tokens and a new `application_token`, then its
    /// handlers and SMS senders are gone and must be bound again (bitrix24 facts §2.3, §6.1).
    pub fn update_app(&self, client_id: &str) {
        {
            let mut state = self.inner.state();
            if let Some(app) = state.apps.get_mut(client_id) {
                app.application_token = Uuid::new_v4().simple().to_string();
            }
            let language = &self.inner.options.language;
            let event = Event {
                name: "ONAPPUPDATE",
                client_id: Some(client_id),
                data: json!({"VERSION": 2, "PREVIOUS_VERSION": 1, "LANGUAGE_ID": language}),
                user: Some(ADMIN),
                lane: "",
                messages: Vec::new(),
            };
            self.inner.queue(&mut state, event);
            state.bindings.retain(|binding| binding.client_id != client_id);
            state.sms_senders.retain(|(owner, _), _| owner != client_id);
        }
        self.inner.changed();
    }

    /// An administrator removes the application: `ONAPPUNINSTALL` without tokens, then its handlers,
    /// connectors and senders are gone.
    pub async fn uninstall(&self, client_id: &str, clean: bool) {
        {
            let mut state = self.inner.state();
            let language = &self.inner.options.language;
            let event = Event {
                name: "ONAPPUNINSTALL",
                client_id: Some(client_id),
                data: json!({"LANGUAGE_ID": language, "CLEAN": if clean { "1" } else { "0" }}),
                user: None,
                lane: "",
                messages: Vec::new(),
            };
            self.inner.queue(&mut state, event);
            if let Some(app) = state.apps.get_mut(client_id) {
                (app.installed, app.finished) = (false, false);
            }
            state.bindings.retain(|binding| binding.client_id != client_id);
            state.sms_senders.retain(|(owner, _), _| owner != client_id);
            let gone: Vec<String> = state
                .connectors
                .iter()
                .filter(|(_, connector)| connector.client_id == client_id)
                .map(|(code, _)| code.clone())
                .collect();
            state.connectors.retain(|code, _| !gone.contains(code));
            state.statuses.retain(|(code, _), _| !gone.contains(code));
            state.refresh.retain(|_, row| row.client_id != client_id);
        }
        self.inner.changed();
    }

    /// The portal gets another address; the old one answers 302 from now on. Gives the new host. (The host
    /// changes between `127.0.0.1` and `localhost`; the port stays.)
    pub fn rename(&self) -> String {
        let domain = {
            let mut state = self.inner.state();
            let port = self.inner.port;
            let host = if state.domain.starts_with("localhost") { "127.0.0.1" } else { "localhost" };
            let domain = format!("{host}:{port}");
            let old = std::mem::replace(&mut state.domain, domain.clone());
            state.old_domains.retain(|known| *known != domain);
            state.old_domains.push(old);
            domain
        };
        self.inner.changed();
        domain
    }

    /// Opens the application's page (`DEFAULT`) or its connector's settings on a line
    /// (`SETTING_CONNECTOR`) as the administrator or the operator would.
    pub async fn open_page(
        &self,
        client_id: &str,
        placement: &str,
        line: Option<&str>,
        admin: bool,
    ) -> PageAnswer {
        let user = if admin { ADMIN } else { OPERATOR };
        let found = {
            let state = self.inner.state();
            if placement == "SETTING_CONNECTOR" {
                let mine = state.connectors.iter().find(|(_, connector)| connector.client_id == client_id);
                mine.map(|(code, connector)| {
                    let line = line.unwrap_or("0");
                    let key = (code.clone(), line.parse().unwrap_or(0));
                    let status = state.statuses.get(&key).cloned().unwrap_or_default();
                    let options = json!({
                        "CONNECTOR": code, "LINE": line, "STATUS": status.active && !status.error,
                        "ACTIVE_STATUS": status.active, "CONNECTION_STATUS": status.active,
                        "REGISTER_STATUS": status.active, "ERROR_STATUS": status.error,
                        "URI": format!("/contact_center/connector/?ID={code}&IFRAME=Y&IFRAME_TYPE=SIDE_SLIDER"),
                    });
                    (connector.placement_handler.clone(), options)
                })
            } else {
                state.apps.get(client_id).map(|app| (app.handler_url.clone(), json!({})))
            }
        };
        match found {
            Some((address, options)) => self.inner.show(client_id, &address, placement, options, user).await,
            None => PageAnswer { status: 0, headers: Vec::new(), html: String::new() },
        }
    }
}

impl Inner {
    /// The POST of a page in the iframe (bitrix24 facts §2.2).
    async fn show(
        &self,
        client_id: &str,
        address: &str,
        placement: &str,
        options: Value,
        user: u64,
    ) -> PageAnswer {
        let (address, form) = {
            let mut state = self.state();
            let now = self.options.clock.now();
            let pair = state.issue_pair(now, client_id, user);
            let app = state.apps.get(client_id);
            let scope = app.map(|app| app.scopes.join(",")).unwrap_or_default();
            let application_token = app.map(|app| app.application_token.clone());
            let body = json!({
                "AUTH_ID": pair.access, "AUTH_EXPIRES": ACCESS_S, "REFRESH_ID": pair.refresh,
                "SERVER_ENDPOINT": self.server_endpoint(), "APPLICATION_TOKEN": application_token,
                "APPLICATION_SCOPE": scope, "member_id": self.options.member_id, "status": "L",
                "PLACEMENT": placement, "PLACEMENT_OPTIONS": options.to_string(),
            });
            let address = Url::parse(address).map(|mut url| {
                url.query_pairs_mut()
                    .append_pair("DOMAIN", &state.domain)
                    .append_pair("PROTOCOL", "0")
                    .append_pair("LANG", &self.options.language)
                    .append_pair("APP_SID", &Uuid::new_v4().simple().to_string());
                url.to_string()
            });
            (address.unwrap_or_default(), form::build(&body))
        };
        let page = self.submit(&address, form).await;
        self.observe(|| json!({"kind": "page", "placement": placement, "status": page.status}));
        page
    }

    async fn submit(&self, address: &str, form: String) -> PageAnswer {
        let nobody = PageAnswer { status: 0, headers: Vec::new(), html: String::new() };
        let request =
            self.http.post(address).header("Content-Type", "application/x-www-form-urlencoded").body(form);
        let Ok(answer) = request.send().await else { return nobody };
        let status = answer.status().as_u16();
        let headers = answer.headers().iter();
        let headers = headers
            .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect();
        PageAnswer { status, headers, html: answer.text().await.unwrap_or_default() }
    }
}
