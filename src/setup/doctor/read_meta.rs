//! Reads at Meta what the checks of apps, WABAs and phones judge.

use super::finding::{Check, Finding, Kind, Outcome, Subject, russian, words};
use super::token::{self, Wanted};
use super::{Look, app, calling, phone, public, read_bridge, waba};
use crate::directory::{App, Phone, Snapshot, Waba};
use crate::domain::{Secret, Verdict};
use crate::secrets::random_token;
use crate::setup::{Setup, SetupError};
use crate::store::messages;
use crate::whatsapp::{GraphClient, GraphError, signature};

impl Setup {
    pub(super) async fn examine_app(&self, snapshot: &Snapshot, own: &App, look: &Look) -> Vec<Finding> {
        let subject = Subject { kind: Kind::App, id: own.id.to_string(), name: own.site.clone() };
        let lacks = own.secrets.is_empty() || own.access_token.is_empty();
        let lacking = lacks.then_some("app secret or access token is missing");
        let mut found = vec![sealed(Check("meta.app.secrets", &subject), own.broken.as_deref().or(lacking))];
        found.push(self.last_webhook(&subject, snapshot, own).await);
        let Some(secret) = own.secrets.first() else { return found };
        let graph = self.graph_at(own.graph_version.as_deref());
        let version = own.graph_version.as_deref().unwrap_or(&self.config.meta.graph_version);
        found.push(app::version(&subject, version, self.clock.now()));
        let users: Vec<String> = snapshot
            .wabas
            .iter()
            .filter(|waba| waba.app_id == own.id && waba.access_token.is_none())
            .map(|waba| waba.waba_id.to_string())
            .collect();
        found.extend(self.examine_token(&subject, &graph, own, &own.access_token, &users).await);
        found.push(self.examine_secret(&subject, &graph, own, secret).await);
        let callback = self.callback_of(own);
        match self.counted("subscriptions", graph.subscription(&own.client_id, secret).await) {
            Ok(told) => {
                let has_calls = snapshot.calling.iter().any(|calling| {
                    calling.is_enabled()
                        && snapshot.channel(&calling.phone).is_some_and(|channel| channel.app.id == own.id)
                });
                found.extend(app::subscription(&subject, told.as_ref(), &callback, has_calls));
            }
            Err(error) => found.push(app_refused(Check("meta.app.callback", &subject), &error)),
        }
        if look.thorough {
            found.extend(self.examine_address(&subject, own, &callback, secret).await);
        }
        found
    }

    /// When Meta last told us something for this app, as far as this process and the ledger know.
    async fn last_webhook(&self, subject: &Subject, snapshot: &Snapshot, own: &App) -> Finding {
        let phones: Vec<String> = snapshot
            .phones
            .iter()
            .filter(|phone| snapshot.waba(&phone.waba_key).is_some_and(|waba| waba.app_id == own.id))
            .map(|phone| phone.key.to_string())
            .collect();
        let written = self.db.read(move |conn| messages::last_inbound_of(conn, &phones)).await.ok().flatten();
        app::last_webhook(subject, self.doctor.heard(&own.id).max(written), self.clock.now())
    }

    async fn examine_token(
        &self,
        subject: &Subject,
        graph: &GraphClient,
        own: &App,
        token: &Secret,
        wabas: &[String],
    ) -> Vec<Finding> {
        let Some(secret) = own.secrets.first() else { return Vec::new() };
        let told = self.counted("debug_token", graph.debug_token(&own.client_id, secret, token).await);
        match told {
            Ok(told) => {
                let wanted = Wanted { client_id: &own.client_id, wabas, now: self.clock.now() };
                token::judge(subject, &told, &wanted)
            }
            Err(error) => vec![app_refused(Check("meta.token.valid", subject), &error)],
        }
    }

    async fn examine_secret(
        &self,
        subject: &Subject,
        graph: &GraphClient,
        own: &App,
        secret: &Secret,
    ) -> Finding {
        let check = Check("meta.app.secret", subject);
        let outcome = graph.prove_secret(&own.client_id, secret, &own.access_token).await;
        match self.counted("prove_secret", outcome) {
            Ok(()) => check.pass(words("The app secret is right.", "Секрет приложения верен.")),
            Err(error) if error.code() == Some(100) => check.fail(
                words(
                    "The app secret is not that of the app: every webhook would be refused.",
                    "Секрет не от этого приложения: все уведомления были бы отклонены.",
                ),
                words(
                    "Copy it again from the App Dashboard → App settings → Basic.",
                    "Скопируйте его снова: App Dashboard → Настройки приложения → Основное.",
                ),
            ),
            Err(error) => not_read(check, &error),
        }
    }

    /// Our own handshake and our own notification, through the public address.
    async fn examine_address(
        &self,
        subject: &Subject,
        own: &App,
        callback: &str,
        secret: &Secret,
    ) -> Vec<Finding> {
        let challenge = random_token(8);
        let query = [
            ("hub.mode", "subscribe"),
            ("hub.challenge", challenge.as_str()),
            ("hub.verify_token", own.verify_token.expose()),
        ];
        let reached = public::reach(self.probe.get(callback).query(&query)).await;
        let handshake = app::handshake(subject, &reached, &challenge);
        let check = Check("meta.app.delivery", subject);
        let delivery = if handshake.outcome != Outcome::Pass {
            check.skipped(words("The handshake does not succeed.", "Проверка адреса не проходит."))
        } else if own.save_events {
            check.skipped(words(
                "The app keeps every notification; ours of 3 MB would be kept too.",
                "Приложение сохраняет все уведомления; наше размером 3 МБ тоже сохранилось бы.",
            ))
        } else {
            let signature = signature::sign(secret, read_bridge::own_body().as_bytes());
            app::delivery(subject, &public::reach(self.own_notification(callback, signature)).await)
        };
        vec![handshake, delivery]
    }

    pub(super) async fn examine_waba(&self, snapshot: &Snapshot, own: &Waba) -> Vec<Finding> {
        let row = self.waba(own.key.as_str()).await;
        let name = row.as_ref().map_or_else(|_| own.waba_id.to_string(), |row| row.name.clone());
        let subject = Subject { kind: Kind::Waba, id: own.key.to_string(), name };
        let mut found = vec![sealed(Check("meta.waba.secrets", &subject), own.broken.as_deref())];
        if let Ok(row) = &row {
            found.push(waba::status(&subject, &row.status, row.status_reason.as_deref()));
        }
        let (Some(of), Ok((graph, token, id))) =
            (snapshot.app(&own.app_id), self.waba_access(own.key.as_str()))
        else {
            return found;
        };
        if let Some(token) = &own.access_token {
            found.extend(self.examine_token(&subject, &graph, of, token, &[id.to_string()]).await);
        }
        let readable = Check("meta.waba.readable", &subject);
        if let Err(error) = self.counted("waba", graph.waba(&token, &id).await) {
            found.push(not_read(readable, &error));
            return found;
        }
        found.push(readable.pass(words("Meta shows us the account.", "Meta показывает нам аккаунт.")));
        match self.counted("subscribed_apps", graph.subscribed_apps(&token, &id).await) {
            Ok(told) => found.extend(waba::subscribed(&subject, &told, &of.client_id)),
            Err(error) => found.push(not_read(Check("meta.waba.subscribed", &subject), &error)),
        }
        match self.counted("health", graph.health(&token, id.as_str()).await) {
            Ok(health) => {
                let parts = [
                    ("meta.waba.health", "WABA"),
                    ("meta.business.health", "BUSINESS"),
                    ("meta.app.live", "APP"),
                ];
                found.extend(waba::health(&subject, &health, &parts));
                found.push(waba::payment(&subject, &health));
            }
            Err(error) => found.push(not_read(Check("meta.waba.health", &subject), &error)),
        }
        let templates = Check("meta.waba.templates", &subject);
        found.push(match self.counted("templates", graph.reads_templates(&token, &id).await) {
            Ok(()) => templates.pass(words("The templates can be read.", "Шаблоны читаются.")),
            Err(error) => not_read(templates, &error),
        });
        let key = own.key.to_string();
        if let Ok(rows) = self.db.read(move |conn| crate::store::templates::for_waba(conn, &key)).await {
            found.extend(waba::templates(&subject, &rows, self.clock.now()));
        }
        found
    }

    pub(super) async fn examine_phone(&self, snapshot: &Snapshot, own: &Phone, look: &Look) -> Vec<Finding> {
        let subject = super::phone_subject(own);
        let mut found = vec![phone::security(&subject, own.row.security_note.as_deref())];
        let linked = Check("phone.line", &subject);
        found.push(match snapshot.binding_of_phone(&own.key) {
            Some(_) => linked.pass(words("The phone is linked to a line.", "Номер привязан к линии.")),
            None => linked.warn(
                words(
                    "The phone is linked to no line: messages wait.",
                    "Номер не привязан к линии: сообщения ждут.",
                ),
                words("Link it to a line of a portal.", "Привяжите его к линии портала."),
            ),
        });
        let setting = own.row.fallback_template.as_deref();
        let outcome = match setting {
            Some(setting) => self.check_fallback(&own.row, setting).await.unwrap_or(Ok(())),
            None => Ok(()),
        };
        let wanted = own.row.closed_window == "template";
        found.push(phone::fallback(&subject, setting, wanted, outcome));
        found.extend(self.examine_digest(&subject, snapshot, own, look).await);
        let Ok((graph, token, waba_id)) = self.waba_access(own.waba_key.as_str()) else { return found };
        let listed = match self.counted("phone_numbers", graph.phone_numbers(&token, &waba_id).await) {
            Ok(listed) => listed,
            Err(error) => {
                found.push(not_read(Check("meta.phone.of_waba", &subject), &error));
                return found;
            }
        };
        let identity = phone::identity(&subject, &listed, own.phone_number_id.as_str(), &own.number);
        let known = waba::none_failed(&identity);
        found.extend(identity);
        if known {
            found.extend(self.examine_number(&subject, &graph, &token, own).await);
        }
        found
    }

    async fn examine_number(
        &self,
        subject: &Subject,
        graph: &GraphClient,
        token: &Secret,
        own: &Phone,
    ) -> Vec<Finding> {
        let id = &own.phone_number_id;
        let mut found = Vec::new();
        let extras = self.counted("phone_extras", graph.phone_extras(token, id).await).ok();
        found.extend(match self.calling(own.key.as_str()).await {
            Ok(state) => calling::judge(subject, &state, extras.as_ref()),
            Err(error) => vec![Check("calls.settings", subject).unknown(words(
                format!("The settings for calls cannot be read: {error}."),
                format!("Настройки звонков прочитать не удалось: {}.", russian(&error)),
            ))],
        });
        match self.counted("phone", graph.phone(token, id).await) {
            Ok(info) => {
                found.extend(phone::states(subject, &info, extras.as_ref()));
                found.push(phone::own_address(subject, info.own_callback_url()));
            }
            Err(error) => found.push(not_read(Check("meta.phone.status", subject), &error)),
        }
        found.push(self.examine_profile(subject, graph, token, own).await);
        match self.counted("health", graph.health(token, id.as_str()).await) {
            Ok(health) => {
                found.extend(waba::health(subject, &health, &[("meta.phone.health", "PHONE_NUMBER")]));
            }
            Err(error) => found.push(not_read(Check("meta.phone.health", subject), &error)),
        }
        found
    }

    /// Whether others have changed the business profile; what is seen first is what is compared with later.
    async fn examine_profile(
        &self,
        subject: &Subject,
        graph: &GraphClient,
        token: &Secret,
        own: &Phone,
    ) -> Finding {
        let told = match self.counted("profile", graph.profile(token, &own.phone_number_id).await) {
            Ok(told) => told,
            Err(error) => return not_read(Check("meta.phone.profile", subject), &error),
        };
        let known = own.row.profile.as_deref().and_then(|text| serde_json::from_str(text).ok());
        if known.is_none()
            && let Err(error) = self.keep_profile(own.key.as_str(), &told).await
        {
            tracing::warn!(phone.id = %own.key, error = %error, "the business profile could not be noted");
        }
        phone::profile(subject, &told, known.as_ref())
    }

    /// Where Meta is to post an app's webhooks.
    pub(super) fn callback_of(&self, own: &App) -> String {
        self.callback_at(&own.site, &own.api_key)
    }
}

fn sealed(check: Check<'_>, broken: Option<&str>) -> Finding {
    match broken {
        None => check.pass(words("The stored secrets can be read.", "Сохранённые секреты читаются.")),
        Some(why) => check.fail(
            words(
                format!("A stored secret cannot be read: {why}."),
                format!("Сохранённый секрет не читается: {}.", russian(&why)),
            ),
            words("Enter it again.", "Введите его снова."),
        ),
    }
}

/// As [`not_read`], for what is asked in the name of the app, by its id and secret.
fn app_refused(check: Check<'_>, error: &GraphError) -> Finding {
    match error.code() {
        // The secret has a finding of its own.
        Some(0 | 190) => check.skipped(words(
            "Meta does not take the app's id with its secret.",
            "Meta не принимает id приложения с его секретом.",
        )),
        _ => not_read(check, error),
    }
}

/// Meta did not show what the check is about.
fn not_read(check: Check<'_>, error: &GraphError) -> Finding {
    let text = told(error);
    match (error.code(), error.verdict()) {
        // The token has a finding of its own.
        (Some(0 | 190), _) => check.skipped(words(
            "Meta does not take the access token.",
            "Meta не принимает токен доступа.",
        )),
        (_, Verdict::Retry | Verdict::RetryAfter(_)) => check.unknown(words(
            format!("Meta cannot be asked now: {text}."),
            format!("Сейчас Meta не отвечает: {}.", russian(&text)),
        )),
        _ => check.fail(
            words(format!("Meta does not show it: {text}."), format!("Meta этого не показывает: {}.", russian(&text))),
            words(
                "Compare the ids with WhatsApp Manager, and give the system user access to the app and the account.",
                "Сверьте id с WhatsApp Manager и дайте системному пользователю доступ к приложению и аккаунту.",
            ),
        ),
    }
}

/// Meta's refusal in its own words.
pub(super) fn told(error: &GraphError) -> String {
    match error.refusal() {
        Some(refusal) => SetupError::refusal_text(refusal),
        None => error.to_string(),
    }
}
