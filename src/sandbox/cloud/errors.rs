//! The Graph API's error answers and the errors inside webhooks (whatsapp facts §5).

use serde_json::{Value, json};

use super::ids::Rng;

const HREF: &str = "https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes/";

/// One refusal of the Graph API.
#[derive(Clone, Debug)]
pub(super) struct GraphError {
    pub status: u16,
    pub code: u32,
    pub subcode: Option<u32>,
    pub kind: &'static str,
    pub message: String,
    pub details: Option<String>,
    pub transient: bool,
    /// Title and text meant for people.
    pub user: Option<Box<(String, String)>>,
}

impl GraphError {
    /// An error of the table with a text of its own in `error_data.details`.
    pub fn coded(code: u32, details: impl Into<String>) -> Self {
        let (status, title) = known(code);
        Self {
            status,
            code,
            subcode: None,
            kind: "OAuthException",
            message: format!("(#{code}) {title}"),
            details: Some(details.into()),
            transient: matches!(code, 1 | 2 | 131016 | 131056 | 131057 | 130429 | 133004),
            user: None,
        }
    }

    /// Code 100: a parameter that is unknown, too long or wrong. The text stands in `message`.
    pub fn parameter(message: impl std::fmt::Display) -> Self {
        Self {
            status: 400,
            code: 100,
            subcode: None,
            kind: "OAuthException",
            message: format!("(#100) {message}"),
            details: None,
            transient: false,
            user: None,
        }
    }

    /// Code 100/33: an id that does not exist or that the token may not see.
    pub fn no_object(verb: &str, id: &str) -> Self {
        Self {
            subcode: Some(33),
            kind: "GraphMethodException",
            message: format!(
                "Unsupported {verb} request. Object with ID '{id}' does not exist, cannot be loaded due to \
                 missing permissions, or does not support this operation."
            ),
            ..Self::parameter("")
        }
    }

    /// Code 190: a token that is wrong, or (subcode 463) has expired.
    pub fn token(expired: bool) -> Self {
        Self {
            status: 401,
            code: 190,
            subcode: expired.then_some(463),
            kind: "OAuthException",
            message: if expired {
                "Error validating access token: Session has expired.".to_owned()
            } else {
                "Invalid OAuth access token - Cannot parse access token".to_owned()
            },
            details: None,
            transient: false,
            user: None,
        }
    }

    /// Code 104: a call without any token.
    pub fn no_token() -> Self {
        Self {
            status: 401,
            code: 104,
            message: "An access token is required to request this resource.".to_owned(),
            ..Self::token(false)
        }
    }

    /// The same with another HTTP status.
    pub fn with_status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    /// The same with a title and a text for people.
    pub fn for_people(self, title: &str, message: impl Into<String>) -> Self {
        Self { user: Some(Box::new((title.to_owned(), message.into()))), ..self }
    }

    /// The body of the answer.
    pub fn body(&self, rng: &mut Rng) -> Value {
        let mut error = json!({
            "message": self.message,
            "type": self.kind,
            "code": self.code,
            "fbtrace_id": rng.trace_id(),
        });
        if let Some(map) = error.as_object_mut() {
            if let Some(subcode) = self.subcode {
                map.insert("error_subcode".into(), subcode.into());
            }
            if let Some(details) = &self.details {
                map.insert("error_data".into(), json!({"messaging_product": "whatsapp", "details": details}));
            }
            if let Some((title, message)) = self.user.as_deref() {
                map.insert("error_user_title".into(), title.as_str().into());
                map.insert("error_user_msg".into(), message.as_str().into());
            }
            if self.transient {
                map.insert("is_transient".into(), true.into());
            }
        }
        json!({ "error": error })
    }
}

/// An element of `errors[]` in a webhook (facts §1.9): no trace id there.
pub(super) fn webhook_error(code: u32, details: &str) -> Value {
    let (_, title) = known(code);
    json!({"code": code, "title": title, "message": title, "error_data": {"details": details}, "href": HREF})
}

/// The details that go with a failed status of this code.
pub(super) fn usual_details(code: u32) -> &'static str {
    match code {
        131026 => "Message Undeliverable.",
        131042 => {
            "Message failed to send because there were one or more errors related to your payment method."
        }
        131047 => {
            "Message failed to send because more than 24 hours have passed since the customer last replied to this number."
        }
        131048 => {
            "Message failed to send because there are restrictions on how many messages can be sent from this phone number."
        }
        131049 => "This message was not delivered to maintain healthy ecosystem engagement.",
        131050 => "Recipient has chosen to stop receiving marketing messages on WhatsApp from your business.",
        131053 => "Media upload error.",
        130472 => "User's number is part of an experiment.",
        _ => "Message failed to send because of an unknown error.",
    }
}

/// HTTP status and title of a code (facts §5.2).
fn known(code: u32) -> (u16, &'static str) {
    match code {
        0 => (401, "AuthException"),
        1 => (400, "API Unknown"),
        2 => (503, "API Service"),
        4 => (400, "API Too Many Calls"),
        10 => (403, "Permission Denied"),
        613 => (400, "Calls to this API have exceeded the rate limit"),
        33 => (400, "Parameter value is not valid"),
        100 => (400, "Invalid parameter"),
        368 => (403, "Temporarily blocked for policies violations"),
        2200 => (400, "Callback verification failed"),
        80007 => (400, "Rate limit issues"),
        130403 => (403, "Recipient blocked"),
        130429 => (429, "Rate limit hit"),
        130472 => (400, "User's number is part of an experiment"),
        130497 => (403, "Business account is restricted from messaging users in this country."),
        131000 => (500, "Something went wrong"),
        131005 => (403, "Access denied"),
        131008 => (400, "Required parameter is missing"),
        131009 => (400, "Parameter value is not valid"),
        131016 => (500, "Service unavailable"),
        131021 => (400, "Recipient cannot be sender"),
        131026 => (400, "Message undeliverable"),
        131030 => (400, "Recipient phone number not in allowed list"),
        131031 => (403, "Account has been locked"),
        131037 => (400, "Display name approval needed"),
        131042 => (400, "Business eligibility payment issue"),
        131044 => (400, "Business eligibility payment issue"),
        131045 => (500, "Incorrect certificate"),
        131047 => (400, "Re-engagement message"),
        131048 => (400, "Spam rate limit hit"),
        131049 => (400, "Meta chose not to deliver."),
        131050 => (400, "User's marketing preference: stopped"),
        131051 => (400, "Unsupported message type"),
        131052 => (400, "Media download error"),
        131053 => (400, "Media upload error"),
        131055 => (400, "Method not allowed"),
        131056 => (400, "(Business Account, Consumer Account) pair rate limit hit"),
        131057 => (500, "Account in maintenance mode"),
        131060 => (400, "Message unavailable"),
        131062 => (400, "Recipient not supported for this message"),
        132000 => (400, "Template Param Count Mismatch"),
        132001 => (404, "Template does not exist"),
        132005 => (400, "Template Hydrated Text Too Long"),
        132007 => (400, "Template Format Character Policy Violated"),
        132012 => (400, "Template Parameter Format Mismatch"),
        132018 => (400, "Template Parameter Consistency"),
        132015 => (400, "Template is Paused"),
        132016 => (400, "Template is Disabled"),
        133004 => (503, "Server Temporarily Unavailable"),
        138000 => (401, "Calling not enabled"),
        138001 => (400, "Receiver uncallable"),
        138002 => (429, "Concurrent calls limit"),
        138003 => (400, "Duplicate call"),
        138004 => (500, "Connection error"),
        138005 => (429, "Call rate limit exceeded"),
        138006 => (401, "No approved call permission found"),
        138007 => (500, "Connection timeout"),
        138009 => (400, "Call permission request limit hit"),
        138012 => (400, "Business initiated calls limit hit"),
        138013 => (400, "Business initiated calling is not available"),
        138014 => (400, "Calling is temporarily disabled"),
        138015 => (400, "Calling cannot be enabled"),
        138017 => (400, "Permanent permission exists"),
        138018 => (400, "Calling cannot be enabled: prerequisites are missing"),
        138019 => (400, "Call setup failed"),
        138020 => (400, "Media relay connection failed"),
        138021 => (400, "Media receive timeout"),
        138022 => (400, "Media transmit timeout"),
        138023 => (400, "No media"),
        133010 => (400, "Phone number Not Registered"),
        _ => (400, "Message failed"),
    }
}
