//! Meta's edge: notifications in, Graph API out. Knows nothing of Bitrix24.
//!
//! In: [`signature::verify`] on the raw bytes, then [`Notification::parse`]. Out: [`GraphClient`], whose
//! every failure is a [`GraphError`] that knows its verdict and whether it leaves doubt.

pub mod client;
pub mod error;
pub mod message;
pub mod notification;
pub mod outgoing;
pub mod signature;
pub mod template;

pub use client::GraphClient;
pub use error::GraphError;
pub use notification::{Notification, NotificationError, Update};
pub use outgoing::{MediaRef, OutgoingContent, OutgoingMessage, Recipient};
pub use signature::SignatureError;
