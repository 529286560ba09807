//! The portal's edge: REST out, events in. Knows nothing of WhatsApp.
//!
//! In: [`form`] reads PHP-style bodies, [`event`] and [`page`] decode what the portal posts.
//! Out: [`client`] makes one call and never retries, [`error`] says what a failure means, [`governor`]
//! says when the next call may go, [`oauth`] renews tokens. The methods themselves ([`imconnector`],
//! [`openlines`], [`events`], [`telephony`], [`users`], [`messageservice`], [`timeline`]) are pure pairs of
//! parameters and answer, see [`method::Method`].

pub mod client;
pub mod disk;
pub mod error;
pub mod event;
pub mod events;
pub mod form;
pub mod governor;
pub mod imconnector;
mod lenient;
pub mod messageservice;
pub mod method;
pub mod notify;
pub mod oauth;
pub mod openlines;
pub mod page;
pub mod telephony;
pub mod timeline;
pub mod users;

pub use client::{Answer, RestClient, http_client};
pub use error::CallError;
pub use event::PortalEvent;
pub use governor::{Governor, RateLimits};
pub use method::Method;
pub use page::PortalPage;
