//! Meta's edge: notifications in, Graph API out. Knows nothing of Bitrix24.
//!
//! In: [`signature::verify`] on the raw bytes, then [`Notification::parse`]. Out: [`GraphClient`], whose
//! every failure is a [`GraphError`] that knows its verdict and whether it leaves doubt.

pub mod message;
pub mod notification;
pub mod signature;

pub use notification::{Notification, NotificationError, Update};
pub use signature::SignatureError;
