//! The simulated portal against the samples of the fact sheet.

mod apps;
mod chats;
mod limits;
mod rig;
mod telephony;
