//! The CRM's SMS provider: senders, what the CRM wants sent, and what became of it (bitrix24 facts §6).

mod post;

use serde_json::{Value, json};

pub use post::{CrmOwner, PostError, SmsPost};

use super::client::Answer;
use super::error::CallError;
use super::lenient::{texts, yes};
use super::method::Method;
use crate::domain::SmsState;

/// `messageservice.sender.list`: the codes of this application's senders.
#[derive(Clone, Copy, Debug)]
pub struct SenderList;

impl Method for SenderList {
    const NAME: &'static str = "messageservice.sender.list";
    type Output = Vec<String>;

    fn params(&self) -> Value {
        json!({})
    }

    fn read(&self, result: &Value) -> Result<Vec<String>, CallError> {
        match result.is_array() || result.is_object() {
            true => Ok(texts(result)),
            false => Err(CallError::Shape { what: "the list of senders" }),
        }
    }
}

/// What a sender is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sender<'a> {
    /// Its key, `[a-z0-9.\-_]+`.
    pub code: &'a str,
    /// What people pick it by.
    pub name: &'a str,
    /// More about it.
    pub description: &'a str,
    /// Where its messages are posted.
    pub handler: &'a str,
}

impl Sender<'_> {
    fn params(&self) -> Value {
        json!({
            "CODE": self.code, "TYPE": "SMS", "HANDLER": self.handler, "NAME": self.name,
            "DESCRIPTION": self.description,
        })
    }
}

/// `messageservice.sender.add`.
#[derive(Clone, Debug)]
pub struct SenderAdd<'a>(pub Sender<'a>);

impl Method for SenderAdd<'_> {
    const NAME: &'static str = "messageservice.sender.add";
    /// `false`: there is such a sender; it is as it was.
    type Output = bool;

    fn params(&self) -> Value {
        self.0.params()
    }

    fn read(&self, result: &Value) -> Result<bool, CallError> {
        read_true(result).map(|()| true)
    }

    fn settle(&self, outcome: Result<Answer, CallError>) -> Result<bool, CallError> {
        match outcome {
            Err(error) if error.code() == "ERROR_SENDER_ALREADY_INSTALLED" => Ok(false),
            outcome => outcome.and_then(|answer| self.read(&answer.result)),
        }
    }
}

/// `messageservice.sender.update`.
#[derive(Clone, Debug)]
pub struct SenderUpdate<'a>(pub Sender<'a>);

impl Method for SenderUpdate<'_> {
    const NAME: &'static str = "messageservice.sender.update";
    type Output = ();

    fn params(&self) -> Value {
        let mut params = self.0.params();
        if let Some(map) = params.as_object_mut() {
            map.remove("TYPE");
        }
        params
    }

    fn read(&self, result: &Value) -> Result<(), CallError> {
        read_true(result)
    }
}

/// `messageservice.sender.delete`; one that is not there is as good as deleted.
#[derive(Clone, Debug)]
pub struct SenderDelete<'a> {
    /// Its key.
    pub code: &'a str,
}

impl Method for SenderDelete<'_> {
    const NAME: &'static str = "messageservice.sender.delete";
    type Output = ();

    fn params(&self) -> Value {
        json!({"CODE": self.code})
    }

    fn read(&self, result: &Value) -> Result<(), CallError> {
        read_true(result)
    }

    fn settle(&self, outcome: Result<Answer, CallError>) -> Result<(), CallError> {
        match outcome {
            Err(error) if error.code() == "ERROR_SENDER_NOT_FOUND" => Ok(()),
            outcome => outcome.and_then(|answer| self.read(&answer.result)),
        }
    }
}

/// `messageservice.message.status.update`.
#[derive(Clone, Debug)]
pub struct StatusUpdate<'a> {
    /// The sender's key.
    pub code: &'a str,
    /// The portal's id of the SMS.
    pub message_id: &'a str,
    /// How far it has come.
    pub state: SmsState,
}

impl Method for StatusUpdate<'_> {
    const NAME: &'static str = "messageservice.message.status.update";
    type Output = ();

    fn params(&self) -> Value {
        json!({"CODE": self.code, "MESSAGE_ID": self.message_id, "STATUS": self.state.as_str()})
    }

    fn read(&self, result: &Value) -> Result<(), CallError> {
        read_true(result)
    }
}

/// Whether the portal does not know the SMS (yet): it may write its row after the hand-over (facts §6.2).
pub fn is_unknown_message(error: &CallError) -> bool {
    error.code() == "ERROR_MESSAGE_NOT_FOUND"
}

fn read_true(result: &Value) -> Result<(), CallError> {
    match yes(result) {
        true => Ok(()),
        false => Err(CallError::refused("RESULT_FALSE", "the portal answered that it was not done")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_or_gone_already_is_no_failure() {
        let sender =
            Sender { code: "wa_1", name: "WhatsApp +1", description: "", handler: "https://x.example/" };
        let refused = |code: &str| Err(CallError::refused(code, ""));
        assert!(!SenderAdd(sender.clone()).settle(refused("ERROR_SENDER_ALREADY_INSTALLED")).unwrap());
        SenderDelete { code: "wa_1" }.settle(refused("error_sender_not_found")).unwrap();
        assert!(SenderDelete { code: "wa_1" }.settle(refused("ACCESS_DENIED")).is_err());
        assert_eq!(SenderUpdate(sender).params().get("TYPE"), None);
    }

    #[test]
    fn the_list_of_senders_may_be_empty() {
        assert_eq!(SenderList.read(&json!([])).unwrap(), Vec::<String>::new());
        assert_eq!(SenderList.read(&json!(["a", "b"])).unwrap(), ["a", "b"]);
        assert!(SenderList.read(&json!(false)).is_err());
    }
}
