//! Calls in the CRM: their cards, and the lines that they come by (bitrix24 facts §7).

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use super::client::Answer;
use super::error::CallError;
use super::lenient::{at, int_at, items, text_at, yes};
use super::method::Method;

/// `telephony.externalCall.register`. Repeated within 30 minutes with the same values while the call is not
/// finished, the portal answers with the same call (facts §7.2).
#[derive(Clone, Debug)]
pub struct Register<'a> {
    /// The user who stands for the call.
    pub user_id: &'a str,
    /// The other side's number, with `+`.
    pub number: &'a str,
    /// From the contact.
    pub inbound: bool,
    /// When it arrived.
    pub start: DateTime<Utc>,
    /// Whether an unknown number makes a lead or contact.
    pub crm_create: bool,
    /// Whether the card opens now.
    pub show: bool,
    /// Our line, see [`LineAdd`].
    pub line: &'a str,
    /// Our id of the call: what keeps two calls of one person apart.
    pub external_id: &'a str,
}

/// A call as the portal knows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Registered {
    /// The portal's id.
    pub call_id: String,
    /// `CONTACT`, `COMPANY`, `LEAD`.
    pub entity_type: Option<String>,
    /// Its id.
    pub entity_id: Option<String>,
}

impl Method for Register<'_> {
    const NAME: &'static str = "telephony.externalCall.register";
    type Output = Registered;

    fn params(&self) -> Value {
        json!({
            "USER_ID": self.user_id,
            "PHONE_NUMBER": self.number,
            "TYPE": if self.inbound { 2 } else { 1 },
            "CALL_START_DATE": self.start.to_rfc3339_opts(SecondsFormat::Secs, false),
            "CRM_CREATE": u8::from(self.crm_create),
            "SHOW": u8::from(self.show),
            "ADD_TO_CHAT": 0,
            "LINE_NUMBER": self.line,
            "EXTERNAL_CALL_ID": self.external_id,
        })
    }

    fn read(&self, result: &Value) -> Result<Registered, CallError> {
        Ok(Registered {
            call_id: text_at(result, &["CALL_ID"]).ok_or(CallError::Shape { what: "CALL_ID" })?,
            entity_type: text_at(result, &["CRM_ENTITY_TYPE"]),
            entity_id: int_at(result, &["CRM_ENTITY_ID"]).filter(|id| *id > 0).map(|id| id.to_string()),
        })
    }
}

/// Whether the portal refused a call because of its user, not of the call.
pub fn is_user_refused(error: &CallError) -> bool {
    matches!(error, CallError::Refused { description, .. } if description.contains("User is not found"))
}

/// `telephony.externalCall.show` and `.hide`.
#[derive(Clone, Debug)]
pub struct Show<'a> {
    /// The portal's id of the call.
    pub call_id: &'a str,
    /// At whom.
    pub user_id: &'a str,
}

/// See [`Show`].
#[derive(Clone, Debug)]
pub struct Hide<'a> {
    /// The portal's id of the call.
    pub call_id: &'a str,
    /// At whom.
    pub user_id: &'a str,
}

impl Method for Show<'_> {
    const NAME: &'static str = "telephony.externalCall.show";
    /// `false`: the portal does not know the call any more.
    type Output = bool;

    fn params(&self) -> Value {
        json!({"CALL_ID": self.call_id, "USER_ID": self.user_id})
    }

    fn read(&self, result: &Value) -> Result<bool, CallError> {
        Ok(yes(result))
    }
}

impl Method for Hide<'_> {
    const NAME: &'static str = "telephony.externalCall.hide";
    /// `false`: the portal does not know the call any more.
    type Output = bool;

    fn params(&self) -> Value {
        json!({"CALL_ID": self.call_id, "USER_ID": self.user_id})
    }

    fn read(&self, result: &Value) -> Result<bool, CallError> {
        Ok(yes(result))
    }
}

/// `telephony.externalCall.finish`. Not idempotent: the portal forgets the call (facts §7.3).
#[derive(Clone, Debug)]
pub struct Finish<'a> {
    /// The portal's id of the call.
    pub call_id: &'a str,
    /// Who had it.
    pub user_id: &'a str,
    /// Seconds from answer to end.
    pub duration: i64,
    /// `200`, `304`, `603`, `603-S` … (facts §7.3).
    pub status_code: &'a str,
    /// Why it failed, in words.
    pub failed_reason: Option<&'a str>,
}

/// What a finished call became.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Finished {
    /// An activity, if the portal made one.
    Now {
        /// Its id.
        activity_id: Option<String>,
    },
    /// The portal knows no such call: it was finished before.
    Before,
}

impl Method for Finish<'_> {
    const NAME: &'static str = "telephony.externalCall.finish";
    type Output = Finished;

    fn params(&self) -> Value {
        let mut params = json!({
            "CALL_ID": self.call_id,
            "USER_ID": self.user_id,
            "DURATION": self.duration,
            "STATUS_CODE": self.status_code,
            "ADD_TO_CHAT": 0,
        });
        if let (Some(reason), Some(map)) = (self.failed_reason, params.as_object_mut()) {
            map.insert("FAILED_REASON".into(), reason.into());
        }
        params
    }

    fn read(&self, result: &Value) -> Result<Finished, CallError> {
        if !result.is_object() {
            return Err(CallError::Shape { what: "the finished call" });
        }
        let activity = int_at(result, &["CRM_ACTIVITY_ID"]).filter(|id| *id > 0);
        Ok(Finished::Now { activity_id: activity.map(|id| id.to_string()) })
    }

    fn settle(&self, outcome: Result<Answer, CallError>) -> Result<Finished, CallError> {
        match outcome {
            Err(CallError::Refused { description, .. }) if description.contains("Call is not found") => {
                Ok(Finished::Before)
            }
            outcome => outcome.and_then(|answer| self.read(&answer.result)),
        }
    }
}

/// `telephony.externalCall.searchCrmEntities`: who is responsible for a number.
#[derive(Clone, Debug)]
pub struct SearchCrmEntities<'a> {
    /// The number, with `+`.
    pub number: &'a str,
}

/// The user who is responsible for a customer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Responsible {
    /// Portal's user.
    pub user_id: String,
    /// The user's extension.
    pub inner: Option<String>,
}

impl Method for SearchCrmEntities<'_> {
    const NAME: &'static str = "telephony.externalCall.searchCrmEntities";
    /// The first entity's, in the portal's order.
    type Output = Option<Responsible>;

    fn params(&self) -> Value {
        json!({"PHONE_NUMBER": self.number})
    }

    fn read(&self, result: &Value) -> Result<Option<Responsible>, CallError> {
        let responsible = |entity: &Value| {
            let assigned = int_at(entity, &["ASSIGNED_BY_ID"]).or(int_at(entity, &["ASSIGNED_BY", "ID"]));
            let user_id = assigned.filter(|id| *id > 0)?.to_string();
            Some(Responsible { user_id, inner: text_at(entity, &["ASSIGNED_BY", "USER_PHONE_INNER"]) })
        };
        Ok(items(result).into_iter().find_map(responsible))
    }
}

/// `user.get` by extension; needs a scope `user…`.
#[derive(Clone, Debug)]
pub struct UserOfExtension<'a> {
    /// The extension.
    pub inner: &'a str,
}

impl Method for UserOfExtension<'_> {
    const NAME: &'static str = "user.get";
    /// Portal's user.
    type Output = Option<String>;

    fn params(&self) -> Value {
        json!({"FILTER": {"UF_PHONE_INNER": self.inner, "ACTIVE": true}})
    }

    fn read(&self, result: &Value) -> Result<Option<String>, CallError> {
        // A portal that does not know the filter shows everybody.
        let same = |user: &&Value| {
            at(user, &["UF_PHONE_INNER"]).is_none()
                || text_at(user, &["UF_PHONE_INNER"]).as_deref() == Some(self.inner)
        };
        let mut users = items(result).into_iter().filter(same);
        Ok(match (users.next(), users.next()) {
            (Some(only), None) => text_at(only, &["ID"]),
            _ => None,
        })
    }
}

/// `telephony.externalLine.add`.
#[derive(Clone, Debug)]
pub struct LineAdd<'a> {
    /// Number of the line, with `+`.
    pub number: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Whether the portal makes leads of unknown callers.
    pub crm_create: bool,
}

/// What became of [`LineAdd`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LineAdded {
    /// It is there now.
    Now,
    /// It was there before; see [`LineUpdate`].
    Before,
}

impl Method for LineAdd<'_> {
    const NAME: &'static str = "telephony.externalLine.add";
    type Output = LineAdded;

    fn params(&self) -> Value {
        line_params(self.number, self.name, self.crm_create)
    }

    fn read(&self, _: &Value) -> Result<LineAdded, CallError> {
        Ok(LineAdded::Now)
    }

    fn settle(&self, outcome: Result<Answer, CallError>) -> Result<LineAdded, CallError> {
        match outcome {
            Err(CallError::Refused { description, .. }) if description.contains("already exists") => {
                Ok(LineAdded::Before)
            }
            outcome => outcome.and_then(|answer| self.read(&answer.result)),
        }
    }
}

/// `telephony.externalLine.update`.
#[derive(Clone, Debug)]
pub struct LineUpdate<'a>(pub LineAdd<'a>);

impl Method for LineUpdate<'_> {
    const NAME: &'static str = "telephony.externalLine.update";
    type Output = ();

    fn params(&self) -> Value {
        line_params(self.0.number, self.0.name, self.0.crm_create)
    }

    fn read(&self, _: &Value) -> Result<(), CallError> {
        Ok(())
    }
}

/// `telephony.externalLine.delete`.
#[derive(Clone, Debug)]
pub struct LineDelete<'a> {
    /// Number of the line, with `+`.
    pub number: &'a str,
}

impl Method for LineDelete<'_> {
    const NAME: &'static str = "telephony.externalLine.delete";
    type Output = ();

    fn params(&self) -> Value {
        json!({"NUMBER": self.number})
    }

    fn read(&self, _: &Value) -> Result<(), CallError> {
        Ok(())
    }
}

fn line_params(number: &str, name: &str, crm_create: bool) -> Value {
    json!({"NUMBER": number, "NAME": name, "CRM_AUTO_CREATE": if crm_create { "Y" } else { "N" }})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registered_call_is_read_in_phps_ways() {
        let call = Register {
            user_id: "1",
            number: "+16505551234",
            inbound: true,
            start: "2026-03-01T10:00:00Z".parse().unwrap(),
            crm_create: false,
            show: true,
            line: "+15550783881",
            external_id: "c1",
        };
        assert_eq!(call.params()["CALL_START_DATE"], "2026-03-01T10:00:00+00:00");
        assert_eq!((call.params()["TYPE"].clone(), call.params()["SHOW"].clone()), (json!(2), json!(1)));
        let read = call
            .read(
                &json!({"CALL_ID": "externalCall.a.1", "CRM_CREATED_LEAD": null, "CRM_CREATED_ENTITIES": [],
                          "CRM_ENTITY_TYPE": "CONTACT", "CRM_ENTITY_ID": "797"}),
            )
            .unwrap();
        assert_eq!((read.call_id.as_str(), read.entity_id.as_deref()), ("externalCall.a.1", Some("797")));
        let read = call.read(&json!({"CALL_ID": "x", "CRM_ENTITY_ID": false})).unwrap();
        assert_eq!(read.entity_id, None);
        assert!(call.read(&json!([])).is_err());
    }

    #[test]
    fn a_call_that_is_not_found_was_finished_before() {
        let finish =
            Finish { call_id: "x", user_id: "1", duration: 0, status_code: "304", failed_reason: None };
        let gone = "Call is not found (call should be registered prior to finishing";
        let refused = |text: &str| {
            Err(CallError::Refused { http: 400, code: "ERROR_CORE".into(), description: text.into() })
        };
        assert_eq!(finish.settle(refused(gone)).unwrap(), Finished::Before);
        assert!(finish.settle(refused("Something else")).is_err());
    }

    #[test]
    fn the_responsible_is_the_first_entitys_user() {
        let search = SearchCrmEntities { number: "+1" };
        assert_eq!(search.read(&json!([])).unwrap(), None);
        let found = search.read(&json!([
            {"CRM_ENTITY_TYPE": "LEAD", "CRM_ENTITY_ID": 5, "ASSIGNED_BY_ID": "0"},
            {"CRM_ENTITY_TYPE": "CONTACT", "CRM_ENTITY_ID": 7, "ASSIGNED_BY_ID": "27",
             "ASSIGNED_BY": {"ID": "27", "USER_PHONE_INNER": "101"}}]));
        let expected = Responsible { user_id: "27".into(), inner: Some("101".into()) };
        assert_eq!(found.unwrap(), Some(expected));
    }

    #[test]
    fn an_extension_is_of_one_user_or_of_nobody() {
        let user = UserOfExtension { inner: "101" };
        let one = json!([{"ID": "27", "UF_PHONE_INNER": "101"}, {"ID": "1", "UF_PHONE_INNER": "100"}]);
        assert_eq!(user.read(&one).unwrap().as_deref(), Some("27"));
        assert_eq!(user.read(&json!([{"ID": "27"}, {"ID": "28"}])).unwrap(), None);
        assert_eq!(user.read(&json!([])).unwrap(), None);
    }
}
