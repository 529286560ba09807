//! Business phones and their settings.

use chrono::NaiveDateTime;

use super::behalf::{Change, Object};
use super::doctor::Scope;
use super::validate::{self, Faults};
use super::{FieldError, Setup, SetupError};
use crate::clock::new_id;
use crate::domain::{PhoneKey, PhoneNumber, PhoneNumberId, stop_words};
use crate::store::phones::{self, PhoneRow};
use crate::store::{Page, Tx, call_permissions, calling, calls};
use crate::translate::shorthand;
use crate::whatsapp::client::PhoneInfo;

/// A phone to be set up.
#[derive(Clone, Debug)]
pub struct NewPhone {
    /// Our id of its WABA.
    pub waba_id: String,
    /// The number in international form.
    pub phone_number: String,
    /// Meta's id of it.
    pub phone_number_id: String,
    /// Whether it is an SMS sender in the CRM.
    pub sms_service: bool,
}

/// What of a phone's settings changes; `None` stays.
#[derive(Clone, Debug, Default)]
pub struct PhoneChange {
    /// Whether it is an SMS sender in the CRM.
    pub sms_service: Option<bool>,
    /// Whether an operator's reply marks the last inbound message read.
    pub read_receipts: Option<bool>,
    /// `drop` or `send`.
    pub system_messages: Option<String>,
    /// `strip` or `keep`.
    pub signature: Option<String>,
    /// `tell`, `template` or `hold`.
    pub closed_window: Option<String>,
    /// Template for a closed window.
    pub fallback_template: Option<Option<String>>,
    /// Language of templates.
    pub default_language: Option<Option<String>>,
    /// Whether a sent SMS shows in the line.
    pub sms_to_chat: Option<bool>,
    /// Portal user who stands for the phone.
    pub crm_user_id: Option<Option<String>>,
    /// Languages whose words like STOP end marketing messages.
    pub stop_words: Option<Vec<String>>,
}

impl Setup {
    /// Sets up a phone that Meta lists for its WABA with this very number.
    pub async fn create_phone(&self, new: NewPhone) -> Result<PhoneRow, SetupError> {
        let snapshot = self.directory.now();
        let mut faults = Faults::default();
        let number = PhoneNumber::parse(&new.phone_number);
        if let Err(error) = &number {
            faults.add("phone_number", error.to_string());
        }
        let id =
            PhoneNumberId::new(faults.check("phone_number_id", validate::cloud_id(&new.phone_number_id)));
        if snapshot.wabas.iter().all(|waba| waba.key.as_str() != new.waba_id) {
            faults.add("waba_id", "is not the id of a WABA");
        }
        faults.done()?;
        let number = number.map_err(|error| SetupError::field("phone_number", error.to_string()))?;
        if snapshot.phone_by_id(&id).is_some() {
            return Err(SetupError::Conflict(format!("the phone {id} exists already")));
        }
        let (graph, token, waba_id) = self.waba_access(&new.waba_id)?;
        let listed = self.counted("phone_numbers", graph.phone_numbers(&token, &waba_id).await)?;
        if listed.iter().all(|phone| phone.id != id) {
            return Err(SetupError::field("phone_number_id", "is not among the phones of this WABA"));
        }
        let info = self.counted("phone", graph.phone(&token, &id).await)?;
        if shown_digits(&info) != number.digits() {
            let message = "is not the number that Meta shows for this phone_number_id";
            return Err(SetupError::field("phone_number", message));
        }
        let row = self.new_row(&new.waba_id, &number, info, new.sms_service);
        let stored = row.clone();
        let own = self.clone();
        self.db
            .write(move |tx| {
                phones::insert(tx.conn, &stored)?;
                own.note(tx, "create", object(&stored), None, Some(&stored))
            })
            .await?;
        self.directory.reload().await?;
        self.check_later(Scope::Phone(row.id.clone()));
        Ok(row)
    }

    /// Changes a phone's settings.
    pub async fn change_phone(&self, id: &str, change: PhoneChange) -> Result<PhoneRow, SetupError> {
        let row = changed(&change, self.phone(id).await?)?;
        carried(&change, &row)?;
        if self.behalf.is_stale(self.phone(id).await?.updated_at) {
            return Change::<PhoneRow>::Stale.done("phone");
        }
        let names_one = change.fallback_template.is_some() || change.default_language.is_some();
        if let Some(template) = row.fallback_template.as_deref().filter(|_| names_one) {
            self.check_fallback(&row, template).await?.map_err(|why| {
                let fault = FieldError::new("fallback_template", why.en);
                SetupError::Invalid(vec![FieldError { russian: Some(why.ru), ..fault }])
            })?;
        }
        // The portal goes first: what it refuses is not stored.
        let _one_at_a_time = self.switch_sender(&row).await?;
        let (id, now, own) = (id.to_owned(), self.clock.now().naive_utc(), self.clone());
        let written = self.db.write(move |tx| {
            // Only what is asked for: Meta or somebody else may have changed the rest meanwhile.
            let Some(before) = phones::get(tx.conn, &id)? else { return Ok(Change::Gone) };
            if own.behalf.is_stale(before.updated_at) {
                return Ok(Change::Stale);
            }
            let Ok(row) = changed(&change, before.clone()) else { return Ok(Change::Gone) };
            // Somebody else took the template away meanwhile.
            if carried(&change, &row).is_err() {
                return Ok(Change::Stale);
            }
            let row = PhoneRow { updated_at: now, ..row };
            phones::update(tx.conn, &row)?;
            own.note(tx, "change", object(&row), Some(&before), Some(&row))?;
            Ok(Change::Done(row))
        });
        let row = written.await?.done("phone")?;
        self.directory.reload().await?;
        self.resume_phones();
        self.check_later(Scope::Phone(row.id.clone()));
        Ok(row)
    }

    /// Removes a phone that is bound to no line and has no conversations.
    pub async fn delete_phone(&self, id: &str) -> Result<(), SetupError> {
        let row = self.phone(id).await?;
        if self.directory.now().binding_of_phone(&PhoneKey::from(id)).is_some() {
            return Err(SetupError::Conflict("the phone is linked to a line; unlink it first".to_owned()));
        }
        let own = self.clone();
        let delete = move |tx: &mut Tx<'_>| {
            calling::delete(tx.conn, &row.id)?;
            call_permissions::forget_phone(tx.conn, &row.id)?;
            calls::forget_phone(tx.conn, &row.id)?;
            phones::delete(tx.conn, &row.id)?;
            own.note(tx, "delete", object(&row), Some(&row), None)
        };
        let outcome = self.db.write(delete).await.map_err(SetupError::from);
        match outcome {
            Err(SetupError::Conflict(_)) => Err(SetupError::Conflict(
                "the phone has conversations, which its deletion would lose; erase their contacts first, \
                 or leave the phone unlinked"
                    .to_owned(),
            )),
            Err(error) => Err(error),
            Ok(_) => {
                self.directory.reload().await?;
                self.check_later(Scope::All);
                Ok(())
            }
        }
    }

    /// A phone.
    pub async fn phone(&self, id: &str) -> Result<PhoneRow, SetupError> {
        let id = id.to_owned();
        self.db.read(move |conn| phones::get(conn, &id)).await?.ok_or(SetupError::NotFound("phone"))
    }

    /// A page of phones.
    pub async fn phones(&self, page: Page) -> Result<Vec<PhoneRow>, SetupError> {
        Ok(self.db.read(move |conn| phones::page(conn, &page)).await?)
    }

    fn new_row(&self, waba: &str, number: &PhoneNumber, info: PhoneInfo, sms_service: bool) -> PhoneRow {
        PhoneRow {
            throughput: info.throughput_level().map(str::to_owned),
            on_business_app: info.is_on_biz_app.unwrap_or_default(),
            waba_key: waba.to_owned(),
            phone_number: number.digits().to_owned(),
            phone_number_id: info.id.into_string(),
            display_name: info.verified_name.unwrap_or_default(),
            status: info.status,
            quality: info.quality_rating,
            messaging_limit: info.messaging_limit,
            name_status: info.name_status,
            sms_service,
            ..blank(self.clock.now().naive_utc())
        }
    }
}

/// A phone with nothing set.
pub(super) fn blank(now: NaiveDateTime) -> PhoneRow {
    PhoneRow {
        id: new_id(),
        waba_key: String::new(),
        phone_number: String::new(),
        phone_number_id: String::new(),
        display_name: String::new(),
        status: None,
        quality: None,
        messaging_limit: None,
        name_status: None,
        security_note: None,
        sms_service: false,
        read_receipts: false,
        system_messages: "drop".to_owned(),
        signature: "strip".to_owned(),
        closed_window: "tell".to_owned(),
        fallback_template: None,
        default_language: None,
        sms_to_chat: false,
        crm_user_id: None,
        stop_words: String::new(),
        sms_code: None,
        chat_names: "own".to_owned(),
        profile: None,
        throughput: None,
        on_business_app: false,
        created_at: now,
        updated_at: now,
    }
}

/// The row with the change; whether it is valid depends on the change alone.
pub(super) fn changed(change: &PhoneChange, mut row: PhoneRow) -> Result<PhoneRow, SetupError> {
    let mut faults = Faults::default();
    row.sms_service = change.sms_service.unwrap_or(row.sms_service);
    row.read_receipts = change.read_receipts.unwrap_or(row.read_receipts);
    row.sms_to_chat = change.sms_to_chat.unwrap_or(row.sms_to_chat);
    if let Some(languages) = &change.stop_words {
        if languages.iter().any(|language| stop_words::languages().all(|known| known != language)) {
            let known: Vec<&str> = stop_words::languages().collect();
            faults.add("stop_words", format!("must be languages of this list: {}", known.join(", ")));
        }
        row.stop_words = languages.join(",");
    }
    for (field, value, words, place) in [
        ("system_messages", &change.system_messages, &["drop", "send"][..], &mut row.system_messages),
        ("signature", &change.signature, &["strip", "keep"][..], &mut row.signature),
        ("closed_window", &change.closed_window, &["tell", "template", "hold"][..], &mut row.closed_window),
    ] {
        if let Some(value) = value {
            *place = faults.check(field, validate::one_of(value, words));
        }
    }
    if let Some(template) = &change.fallback_template {
        let template = template.as_deref().map(|name| validate::text(name, 512)).transpose();
        row.fallback_template = faults.check("fallback_template", template);
    }
    if let Some(language) = &change.default_language {
        let language = language.as_deref().map(language_code).transpose();
        row.default_language = faults.check("default_language", language);
    }
    if let Some(user) = &change.crm_user_id {
        let user = user.as_deref().map(validate::user_id).transpose();
        row.crm_user_id = faults.check("crm_user_id", user);
    }
    faults.done()?;
    Ok(row)
}

/// What carries a text while the window is closed needs a template that carries it. The fault is told of what
/// changes; a row that is so already may change otherwise.
pub(super) fn carried(change: &PhoneChange, row: &PhoneRow) -> Result<(), SetupError> {
    if row.closed_window != "template" || row.fallback_template.is_some() {
        return Ok(());
    }
    let mut faults = Faults::default();
    if change.closed_window.is_some() {
        faults.add("closed_window", "template needs a fallback_template, which carries the text");
    } else if change.fallback_template.is_some() {
        faults.add("fallback_template", "is needed while closed_window is template");
    }
    faults.done()
}

fn object(row: &PhoneRow) -> Object<'_> {
    Object { kind: "phone", id: &row.id, name: &row.phone_number }
}

/// The number that Meta shows, which it formats (whatsapp-messaging facts §7.6).
pub fn shown_digits(info: &PhoneInfo) -> String {
    info.display_phone_number.as_deref().unwrap_or_default().chars().filter(char::is_ascii_digit).collect()
}

/// `en`, `en_US`, `zh_CN`.
fn language_code(text: &str) -> Result<String, String> {
    let code = shorthand::language_code(text);
    code.ok_or_else(|| "must be a language code of templates, as en_US".to_owned())
}
