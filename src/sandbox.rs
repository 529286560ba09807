//! A simulated WhatsApp cloud and Bitrix24 portal, and the page that shows them.

pub mod cloud;
pub mod page;
pub mod portal;
pub mod sip;
