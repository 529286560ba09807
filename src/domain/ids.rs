//! Identifiers as newtypes, so that the id of one world is never passed for that of another.
//!
//! Ids of the two clouds are opaque text (Meta's are decimal strings that outgrow `i32`, a wamid holds
//! `=`, `/` and `+`); ours are UUIDv7 text made by [`crate::clock`].

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! text_id {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Wraps the text as it is: these ids are opaque to us.
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The id as owned text.
            pub fn into_string(self) -> String {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text)
            }
        }
    )+};
}

text_id! {
    /// Our id of a Meta app.
    AppId,
    /// Our id of a WhatsApp Business Account.
    WabaKey,
    /// Our id of a business phone.
    PhoneKey,
    /// Our id of a local application's credentials.
    PortalAppId,
    /// Our id of a portal.
    PortalId,
    /// Our id of a contact.
    ContactId,
    /// Our id of a chat; also the `chat.id` and `user.id` that the portal is given.
    ChatId,
    /// Our id of a message.
    MessageId,
    /// Our id of a call.
    CallId,
    /// Our id of a durable job.
    JobId,
    /// Our id of a stored media file.
    BlobId,
    /// Meta's id of a WhatsApp Business Account.
    WabaId,
    /// Meta's id of a business phone (not the number).
    PhoneNumberId,
    /// Meta's id of a message; compared case-sensitively.
    Wamid,
    /// Meta's id of a call.
    Wacid,
    /// A person's WhatsApp number without `+`, as Meta spells it; may be absent.
    WaId,
    /// Business-scoped user id (BSUID), `CC.alphanumerics`; may rotate.
    UserId,
    /// Meta's id of an uploaded or received media file.
    MediaId,
    /// Key of a Bitrix24 account; never changes, unlike its domain.
    MemberId,
    /// Id of an open line inside its portal.
    LineId,
    /// Id of a message inside its portal.
    ImMessageId,
}
