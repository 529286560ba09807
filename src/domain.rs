//! The vocabulary of the bridge: ids, phone numbers, delivery states, directions, languages.
//! Values and pure rules only; nothing here does I/O or knows another module.

pub mod actor;
pub mod call;
pub mod ids;
pub mod language;
pub mod phone_number;
pub mod secret;
pub mod sms;
pub mod status;
pub mod stop_words;
pub mod template;
pub mod verdict;
pub mod window;

pub use actor::Actor;
pub use ids::*;
pub use language::Language;
pub use phone_number::PhoneNumber;
pub use secret::Secret;
pub use sms::SmsState;
pub use status::{DeliveryState, Direction};
pub use verdict::Verdict;
pub use window::ServiceWindow;
