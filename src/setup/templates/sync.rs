//! Reading all templates of an account: when it is linked, by the clock, on demand, and when a webhook told of
//! one that is not known. The phones' messaging limits are read on the same round.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};

use super::super::{Setup, SetupError};
use super::row_of;
use crate::domain::{PhoneNumberId, WabaKey};
use crate::store::phones::PhoneRow;
use crate::store::templates::{self, SyncRow, TemplateRow};
use crate::store::{StoreError, phones, wabas};
use crate::whatsapp::client::PhoneInfo;

/// Between two readings of an account by the clock.
const ROUND: TimeDelta = TimeDelta::hours(6);
/// Between a failed reading and the next.
const AFTER_FAILURE: TimeDelta = TimeDelta::minutes(10);
/// Templates in one transaction, so that a long list does not hold the writer up.
const AT_ONCE: usize = 200;

/// How the reading of an account went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Synced {
    /// Our id of the WABA.
    pub waba_id: String,
    /// Templates that Meta lists; `None` if it could not be asked.
    pub templates: Option<usize>,
    /// Why it could not be asked.
    pub error: Option<String>,
}

impl Setup {
    /// Reads the templates of one account, or of all.
    ///
    /// # Errors
    /// If there is no such account, or the database fails. That Meta refuses is told in what is returned.
    pub async fn sync_templates(&self, waba_key: Option<&str>) -> Result<Vec<Synced>, SetupError> {
        let snapshot = self.directory.now();
        let keys: Vec<&WabaKey> = snapshot.wabas.iter().map(|waba| &waba.key).collect();
        let wanted: Vec<&WabaKey> = match waba_key {
            Some(wanted) => keys.into_iter().filter(|key| key.as_str() == wanted).collect(),
            None => keys,
        };
        if waba_key.is_some() && wanted.is_empty() {
            return Err(SetupError::NotFound("WABA"));
        }
        let mut synced = Vec::new();
        for key in wanted {
            synced.push(self.sync_waba(key.as_str()).await?);
            self.refresh_limits(key.as_str()).await;
        }
        Ok(synced)
    }

    /// Reads the accounts whose time has come: never read, read long ago, failed, or wished by a webhook.
    pub async fn sync_due(&self) {
        let now = self.clock.now();
        let known = match self.db.read(templates::syncs).await {
            Ok(known) => known,
            Err(error) => {
                tracing::warn!(error = %error, "when templates were read is not known");
                return;
            }
        };
        let known: HashMap<String, SyncRow> =
            known.into_iter().map(|row| (row.waba_key.clone(), row)).collect();
        for waba in &self.directory.now().wabas {
            let known = known.get(waba.key.as_str());
            let by_clock = is_due(known, now);
            if !by_clock && !known.is_some_and(|known| known.wanted) {
                continue;
            }
            if let Err(error) = self.sync_waba(waba.key.as_str()).await {
                tracing::warn!(waba.id = %waba.waba_id, error = %error, "templates could not be stored");
            }
            if by_clock {
                self.refresh_limits(waba.key.as_str()).await;
            }
        }
    }

    /// Reads one account; what Meta no longer lists is forgotten. A failure is written down.
    pub(in crate::setup) async fn sync_waba(&self, waba_key: &str) -> Result<Synced, SetupError> {
        let _one_at_a_time = self.syncing.lock().await;
        let began = self.clock.now();
        let listed = match self.waba_access(waba_key) {
            Ok((graph, token, waba_id)) => {
                let listed = self.counted("templates", graph.templates(&token, &waba_id).await);
                listed.map_err(SetupError::from)
            }
            Err(error) => Err(error),
        };
        let key = waba_key.to_owned();
        let listed = match listed {
            Ok(listed) => listed,
            Err(error) => {
                let text = error.to_string();
                tracing::warn!(
                    waba.key = waba_key,
                    error = text,
                    "the templates of a WABA could not be read"
                );
                let told = text.clone();
                self.db.write(move |tx| templates::record_sync(tx.conn, &key, began, Some(&told))).await?;
                return Ok(Synced { waba_id: waba_key.to_owned(), templates: None, error: Some(text) });
            }
        };
        let count = listed.len();
        let rows: Vec<TemplateRow> =
            listed.into_iter().map(|listed| row_of(waba_key, listed, began.naive_utc())).collect();
        for chunk in rows.chunks(AT_ONCE) {
            let chunk = chunk.to_vec();
            self.db
                .write(move |tx| chunk.iter().try_for_each(|row| templates::put_listed(tx.conn, row, began)))
                .await?;
        }
        self.db
            .write(move |tx| {
                templates::forget_unlisted(tx.conn, &key, began)?;
                templates::record_sync(tx.conn, &key, began, None)
            })
            .await?;
        Ok(Synced { waba_id: waba_key.to_owned(), templates: Some(count), error: None })
    }

    /// Reads the messaging limits of an account's phones, and whose limit it shares. What cannot be read stays.
    pub(in crate::setup) async fn refresh_limits(&self, waba_key: &str) {
        let Ok((graph, token, waba_id)) = self.waba_access(waba_key) else { return };
        let portfolio = self.counted("portfolio", graph.portfolio(&token, &waba_id).await).ok().flatten();
        let listed = match self.counted("phone_numbers", graph.phone_numbers(&token, &waba_id).await) {
            Ok(listed) => listed,
            Err(error) => {
                tracing::warn!(waba.id = %waba_id, error = %error, "messaging limits could not be read");
                Vec::new()
            }
        };
        let (key, now) = (waba_key.to_owned(), self.clock.now());
        let written = self
            .db
            .write(move |tx| {
                let mut changed = false;
                if let (Some(portfolio), Some(mut waba)) = (&portfolio, wabas::get(tx.conn, &key)?)
                    && waba.portfolio.is_none()
                {
                    waba.portfolio = Some(portfolio.clone());
                    changed |= wabas::update(tx.conn, &waba)?;
                }
                for info in &listed {
                    changed |= note_limits(tx.conn, info, now)?;
                }
                Ok(changed)
            })
            .await;
        let outcome = match written {
            Ok(true) => self.directory.reload().await,
            Ok(false) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = outcome {
            tracing::warn!(error = %error, "messaging limits could not be stored");
        }
    }
}

/// How many people a phone may write to first, and how many messages it may send in a second.
fn note_limits(
    conn: &mut crate::store::Conn,
    info: &PhoneInfo,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let id: &PhoneNumberId = &info.id;
    let Some(row) = phones::by_phone_number_id(conn, id.as_str())? else { return Ok(false) };
    // What Meta does not say stays.
    let told = PhoneRow {
        messaging_limit: info.messaging_limit.clone().or_else(|| row.messaging_limit.clone()),
        throughput: info.throughput_level().map(str::to_owned).or_else(|| row.throughput.clone()),
        on_business_app: info.is_on_biz_app.unwrap_or(row.on_business_app),
        updated_at: now.naive_utc(),
        ..row.clone()
    };
    let limits = |row: &PhoneRow| (row.messaging_limit.clone(), row.throughput.clone(), row.on_business_app);
    if limits(&told) == limits(&row) {
        return Ok(false);
    }
    phones::update(conn, &told)
}

fn is_due(known: Option<&SyncRow>, now: DateTime<Utc>) -> bool {
    let Some(known) = known else { return true };
    let pause = if known.error.is_some() { AFTER_FAILURE } else { ROUND };
    now >= known.tried_at.and_utc() + pause
}
