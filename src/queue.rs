//! Durable jobs: what they are, in which order they run, when a failed one runs again.
//!
//! [`lanes`] is the pure order of work, [`pace`] how fast it goes where that is limited; [`scheduler`] wraps it for tasks; [`worker`] takes work from it,
//! leases it on disk and writes how it ended; [`policy`] says what an error means for a job.

pub mod job;
pub mod lanes;
pub mod pace;
pub mod policy;
pub mod scheduler;
pub mod worker;

pub use job::{Class, Job, Kind};
pub use lanes::{Claim, Take};
pub use scheduler::Scheduler;
pub use worker::{Settled, Started, Worker};
