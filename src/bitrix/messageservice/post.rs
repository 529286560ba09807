//! What the portal posts to a sender's handler (bitrix24 facts §6.2).

use serde_json::Value;
use thiserror::Error;

use crate::bitrix::lenient::{at, filled, get, items, text_at};
use crate::domain::{MemberId, Secret};

/// Longest id or code that is taken, in characters; the portal's are 32 and at most 128.
const LONGEST_ID: usize = 128;
/// Longest recipient that is taken, in characters: a number with an extension and a name beside it.
const LONGEST_RECIPIENT: usize = 100;
/// Objects of the CRM that one SMS may belong to.
const MOST_OWNERS: usize = 10;

/// An SMS that the CRM wants sent.
#[derive(Clone, PartialEq, Debug)]
pub struct SmsPost {
    /// The sender that was picked.
    pub code: String,
    /// The portal's id of the SMS.
    pub message_id: String,
    /// The recipient as the CRM has it.
    pub to: String,
    /// The text.
    pub body: String,
    /// What it belongs to in the CRM.
    pub owners: Vec<CrmOwner>,
    /// The portal user who wrote it; robots have none.
    pub author: Option<String>,
    /// Absent where nobody wrote it.
    pub application_token: Option<Secret>,
    /// Absent where nobody wrote it.
    pub member_id: Option<MemberId>,
}

/// An object of the CRM.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CrmOwner {
    /// `lead`, `deal`, `contact` or `company`.
    pub kind: &'static str,
    /// Its number.
    pub id: u64,
}

/// Why a post is no SMS.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum PostError {
    /// A field that every SMS has.
    #[error("the SMS lacks {0}")]
    Missing(&'static str),
    /// A field that no portal makes so long.
    #[error("{0} is too long")]
    TooLong(&'static str),
}

impl SmsPost {
    /// Reads a form.
    ///
    /// # Errors
    /// A field without which nothing can be sent or told is missing or absurd.
    pub fn decode(form: &Value) -> Result<Self, PostError> {
        let within = |field: &'static str, most: usize| {
            let text = get(form, field).and_then(filled).ok_or(PostError::Missing(field))?;
            match text.chars().count() > most {
                true => Err(PostError::TooLong(field)),
                false => Ok(clean(&text)),
            }
        };
        let auth = |key: &str| text_at(form, &["auth", key]).filter(|text| !text.is_empty());
        Ok(Self {
            code: within("code", LONGEST_ID)?,
            message_id: within("message_id", LONGEST_ID)?,
            to: within("message_to", LONGEST_RECIPIENT)?,
            body: clean(&text_at(form, &["message_body"]).unwrap_or_default()),
            owners: owners(form),
            author: auth("user_id").filter(|id| id != "0" && id.len() <= 18),
            application_token: auth("application_token").map(Secret::new),
            member_id: auth("member_id").map(MemberId::from),
        })
    }
}

/// The CRM names its objects in `bindings`, a workflow names its document.
fn owners(form: &Value) -> Vec<CrmOwner> {
    let bound = get(form, "bindings").map(items).unwrap_or_default();
    let bound = bound.into_iter().filter_map(|binding| {
        let kind = match text_at(binding, &["OWNER_TYPE_ID"])?.as_str() {
            "1" => "lead",
            "2" => "deal",
            "3" => "contact",
            "4" => "company",
            _ => return None,
        };
        Some(CrmOwner { kind, id: text_at(binding, &["OWNER_ID"])?.parse().ok()? })
    });
    let document = at(form, &["document_id"]).map(items).unwrap_or_default();
    let document = document.last().and_then(|id| filled(id)).and_then(|id| {
        let (kind, number) = id.rsplit_once('_')?;
        let kind = ["lead", "deal", "contact", "company"]
            .into_iter()
            .find(|word| kind.eq_ignore_ascii_case(word))?;
        Some(CrmOwner { kind, id: number.parse().ok()? })
    });
    bound.chain(document).take(MOST_OWNERS).collect()
}

/// PostgreSQL takes no NUL in text.
fn clean(text: &str) -> String {
    text.replace('\0', "\u{2400}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bitrix::form::{FormLimits, parse_form};

    fn decode(form: &str) -> Result<SmsPost, PostError> {
        SmsPost::decode(&parse_form(form.as_bytes(), FormLimits::default()).unwrap())
    }

    #[test]
    fn an_sms_of_a_person_bears_author_and_token() {
        let post = decode(
            "module_id=crm&bindings[0][OWNER_TYPE_ID]=3&bindings[0][OWNER_ID]=123&type=SMS&code=wa_1&message_id=6557\
             &message_to=%2B79990000000&message_body=Hello&ts=1&auth[application_token]=t&auth[member_id]=m&auth[user_id]=27",
        )
        .unwrap();
        assert_eq!(
            (post.code.as_str(), post.to.as_str(), post.body.as_str()),
            ("wa_1", "+79990000000", "Hello")
        );
        assert_eq!(post.owners, [CrmOwner { kind: "contact", id: 123 }]);
        assert_eq!(post.author.as_deref(), Some("27"));
        assert_eq!(post.application_token, Some(Secret::from("t")));
    }

    #[test]
    fn an_sms_of_a_robot_bears_neither() {
        let post = decode(
            "module_id=bizproc&workflow_id=x&document_id[0]=crm&document_id[1]=CCrmDocumentDeal&document_id[2]=DEAL_7\
             &code=wa_1&message_id=6557&message_to=8 (913) 1&message_body=",
        )
        .unwrap();
        assert_eq!(post.owners, [CrmOwner { kind: "deal", id: 7 }]);
        assert_eq!((post.author, post.application_token, post.member_id), (None, None, None));
        assert_eq!(post.body, "");
    }

    #[test]
    fn what_lacks_an_id_or_is_absurd_is_no_sms() {
        assert_eq!(decode("code=a&message_to=1"), Err(PostError::Missing("message_id")));
        assert_eq!(decode("code=a&message_id=1"), Err(PostError::Missing("message_to")));
        let long = format!("code={}&message_id=1&message_to=1", "a".repeat(129));
        assert_eq!(decode(&long), Err(PostError::TooLong("code")));
    }
}
