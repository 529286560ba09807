//! Dead letters: run again, or given up with a reason.

use serde_json::{Value, json};

use super::behalf::Object;
use super::{Setup, SetupError};
use crate::store::jobs::{self, JobFilter, JobRow};
use crate::store::{StoreError, Tx};

const MAX_REASON: usize = 500;

impl Setup {
    /// Lets a dead job run again.
    pub async fn retry_job(&self, id: &str) -> Result<JobRow, SetupError> {
        let (key, own) = (id.to_owned(), self.clone());
        let done = self.db.write(move |tx| {
            let done = jobs::retry(tx, &key)?;
            if done { own.note_job(tx, "retry", &key, None).map(|()| true) } else { Ok(false) }
        });
        let done = done.await?;
        self.job_after(id, done).await
    }

    /// Lets every dead job that the filter names run again, in their order; how many they were.
    pub async fn retry_jobs(&self, filter: JobFilter) -> Result<usize, SetupError> {
        let own = self.clone();
        let retried = self.db.write(move |tx| {
            let mut count = 0;
            for id in jobs::dead_ids(tx.conn, &filter)? {
                if jobs::retry(tx, &id)? {
                    own.note_job(tx, "retry", &id, None)?;
                    count += 1;
                }
            }
            Ok(count)
        });
        Ok(retried.await?)
    }

    /// Gives a dead job up for good, and says why.
    pub async fn drop_job(&self, id: &str, reason: Option<&str>) -> Result<JobRow, SetupError> {
        let reason: Option<String> = reason
            .map(|text| text.trim().chars().filter(|c| !c.is_control()).take(MAX_REASON).collect())
            .filter(|text: &String| !text.is_empty());
        let (key, now, own) = (id.to_owned(), self.clock.now(), self.clone());
        let done = self.db.write(move |tx| {
            let done = jobs::drop_dead(tx.conn, &key, now)?;
            if done { own.note_job(tx, "drop", &key, reason.as_deref()).map(|()| true) } else { Ok(false) }
        });
        let done = done.await?;
        self.job_after(id, done).await
    }

    /// Writes down that somebody cancelled an operator's text that was held.
    pub async fn note_cancelled(&self, id: &str) -> Result<(), SetupError> {
        let (id, own) = (id.to_owned(), self.clone());
        let noted = self.db.write(move |tx| {
            own.note::<Value>(tx, "cancel", Object { kind: "message", id: &id, name: "" }, None, None)
        });
        Ok(noted.await?)
    }

    /// A job.
    pub async fn job(&self, id: &str) -> Result<JobRow, SetupError> {
        let id = id.to_owned();
        self.db.read(move |conn| jobs::get(conn, &id)).await?.ok_or(SetupError::NotFound("job"))
    }

    fn note_job(
        &self,
        tx: &mut Tx<'_>,
        action: &'static str,
        id: &str,
        reason: Option<&str>,
    ) -> Result<(), StoreError> {
        let kind = jobs::get(tx.conn, id)?.map(|job| job.kind).unwrap_or_default();
        let object = Object { kind: "job", id, name: &kind };
        let reason = reason.map(|reason| json!({"reason": reason}));
        self.note(tx, action, object, None, reason.as_ref())
    }

    async fn job_after(&self, id: &str, done: bool) -> Result<JobRow, SetupError> {
        let row = self.job(id).await?;
        if done { Ok(row) } else { Err(SetupError::Conflict(format!("the job is {}, not dead", row.state))) }
    }
}
