//! Meta's edge: notifications in, Graph API out. Knows nothing of Bitrix24.

pub mod message;
