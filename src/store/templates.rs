//! Message templates as Meta lists them, and how the last reading of each account went.

use chrono::{DateTime, NaiveDateTime, Utc};
use serde::Serialize;

use super::crud::crud;
use super::schema::template_syncs;
use super::ts;

crud!(templates, TemplateRow);

/// A template. Name and language are its key in its account.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, Selectable, Insertable, AsChangeset, Serialize)]
#[diesel(table_name = templates, treat_none_as_null = true)]
pub struct TemplateRow {
    /// Our id.
    pub id: String,
    /// Our id of its WABA.
    pub waba_key: String,
    /// Meta's id.
    pub meta_id: String,
    /// Name.
    pub name: String,
    /// Language with `_`.
    pub language: String,
    /// Meta's word for its state.
    pub status: String,
    /// Why it is in this state, in Meta's words.
    pub reason: Option<String>,
    /// Meta's word for its price class.
    pub category: String,
    /// The price class that Meta has announced.
    pub next_category: Option<String>,
    /// `GREEN`, `YELLOW`, `RED`, `UNKNOWN`.
    pub quality: Option<String>,
    /// `POSITIONAL` or `NAMED`.
    pub parameter_format: String,
    /// Components as Meta gave them: a JSON array.
    pub components: String,
    /// When Meta last listed it.
    pub synced_at: NaiveDateTime,
    /// When it was written.
    pub created_at: NaiveDateTime,
    /// When it was last changed.
    pub updated_at: NaiveDateTime,
    /// The price class that it had before Meta moved it without an announcement.
    pub moved_from: Option<String>,
    /// When Meta did that.
    pub moved_at: Option<NaiveDateTime>,
}

impl TemplateRow {
    /// What is known of its last move when Meta says that it is in this price class now.
    pub fn moves(&self, category: &str, now: NaiveDateTime) -> (Option<String>, Option<NaiveDateTime>) {
        if category == self.category {
            return (self.moved_from.clone(), self.moved_at);
        }
        let announced = self.next_category.as_deref() == Some(category);
        let returned = self.moved_from.as_deref() == Some(category);
        if announced || returned { (None, None) } else { (Some(self.category.clone()), Some(now)) }
    }
}

/// How the last reading of an account's templates went.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = template_syncs, treat_none_as_null = true, primary_key(waba_key))]
pub struct SyncRow {
    /// Our id of the WABA.
    pub waba_key: String,
    /// When Meta was last asked.
    pub tried_at: NaiveDateTime,
    /// When that last succeeded.
    pub synced_at: Option<NaiveDateTime>,
    /// Why the last try failed.
    pub error: Option<String>,
    /// Whether a webhook told of something that only a new reading can show.
    pub wanted: bool,
}

/// Which templates a list shows.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Of this WABA (our id).
    pub waba_key: Option<String>,
    /// In this state.
    pub status: Option<String>,
    /// With this name.
    pub name: Option<String>,
    /// In this language.
    pub language: Option<String>,
}

/// Every template of an account, by name and language.
pub fn for_waba(conn: &mut Conn, waba_key: &str) -> Result<Vec<TemplateRow>, StoreError> {
    Ok(templates::table
        .filter(templates::waba_key.eq(waba_key))
        .select(TemplateRow::as_select())
        .order((templates::name, templates::language))
        .load(conn)?)
}

/// A page of the templates that pass the filter, oldest first.
pub fn filtered(conn: &mut Conn, filter: &Filter, page: &Page) -> Result<Vec<TemplateRow>, StoreError> {
    let mut query =
        templates::table.select(TemplateRow::as_select()).order(templates::id).limit(page.limit).into_boxed();
    if let Some(waba_key) = &filter.waba_key {
        query = query.filter(templates::waba_key.eq(waba_key.clone()));
    }
    if let Some(status) = &filter.status {
        query = query.filter(templates::status.eq(status.clone()));
    }
    if let Some(name) = &filter.name {
        query = query.filter(templates::name.eq(name.clone()));
    }
    if let Some(language) = &filter.language {
        query = query.filter(templates::language.eq(language.clone()));
    }
    if let Some(cursor) = &page.cursor {
        query = query.filter(templates::id.gt(cursor.clone()));
    }
    Ok(query.load(conn)?)
}

/// The template with this name in this language.
pub fn by_name(
    conn: &mut Conn,
    waba_key: &str,
    name: &str,
    language: &str,
) -> Result<Option<TemplateRow>, StoreError> {
    Ok(templates::table
        .filter(templates::waba_key.eq(waba_key))
        .filter(templates::name.eq(name))
        .filter(templates::language.eq(language))
        .select(TemplateRow::as_select())
        .first(conn)
        .optional()?)
}

/// The template that Meta names so.
pub fn by_meta_id(conn: &mut Conn, waba_key: &str, meta_id: &str) -> Result<Option<TemplateRow>, StoreError> {
    Ok(templates::table
        .filter(templates::waba_key.eq(waba_key))
        .filter(templates::meta_id.eq(meta_id))
        .select(TemplateRow::as_select())
        .first(conn)
        .optional()?)
}

/// Writes what Meta says of a template, new or known (by name and language); a known one keeps our id.
pub fn put(conn: &mut Conn, row: &TemplateRow) -> Result<(), StoreError> {
    match by_name(conn, &row.waba_key, &row.name, &row.language)? {
        Some(known) => {
            let row = TemplateRow { id: known.id, created_at: known.created_at, ..row.clone() };
            update(conn, &row).map(drop)
        }
        None => insert(conn, row),
    }
}

/// Writes an element of a list whose reading began at `began`. What a webhook told meanwhile is newer and stays.
pub fn put_listed(conn: &mut Conn, row: &TemplateRow, began: DateTime<Utc>) -> Result<(), StoreError> {
    let Some(known) = by_name(conn, &row.waba_key, &row.name, &row.language)? else {
        return insert(conn, row);
    };
    let (moved_from, moved_at) = known.moves(&row.category, row.updated_at);
    let mut new = TemplateRow {
        id: known.id.clone(),
        created_at: known.created_at,
        updated_at: known.updated_at,
        moved_from,
        moved_at,
        ..row.clone()
    };
    // Meta tells no reason for a pause in its lists: the one that the webhook told stays.
    if new.reason.is_none() && new.status == known.status {
        new.reason.clone_from(&known.reason);
    }
    if known.updated_at > ts(began) {
        new = TemplateRow { synced_at: row.synced_at, ..known };
    } else if (TemplateRow { synced_at: known.synced_at, ..new.clone() }) != known {
        new.updated_at = row.updated_at;
    }
    update(conn, &new).map(drop)
}

/// Removes what a full list, whose reading began at `began`, did not show any more.
pub fn forget_unlisted(conn: &mut Conn, waba_key: &str, began: DateTime<Utc>) -> Result<usize, StoreError> {
    let unlisted =
        templates::table.filter(templates::waba_key.eq(waba_key)).filter(templates::synced_at.lt(ts(began)));
    Ok(diesel::delete(unlisted).execute(conn)?)
}

/// Removes everything about an account's templates.
pub fn remove_of_waba(conn: &mut Conn, waba_key: &str) -> Result<(), StoreError> {
    diesel::delete(templates::table.filter(templates::waba_key.eq(waba_key))).execute(conn)?;
    diesel::delete(template_syncs::table.find(waba_key)).execute(conn)?;
    Ok(())
}

/// How the last reading of each account went.
pub fn syncs(conn: &mut Conn) -> Result<Vec<SyncRow>, StoreError> {
    Ok(template_syncs::table.select(SyncRow::as_select()).order(template_syncs::waba_key).load(conn)?)
}

/// Writes down how a reading went; a failed one keeps the time of the last good one.
pub fn record_sync(
    conn: &mut Conn,
    waba_key: &str,
    at: DateTime<Utc>,
    error: Option<&str>,
) -> Result<(), StoreError> {
    let known: Option<SyncRow> =
        template_syncs::table.find(waba_key).select(SyncRow::as_select()).first(conn).optional()?;
    let last_good = known.as_ref().and_then(|known| known.synced_at);
    let row = SyncRow {
        waba_key: waba_key.to_owned(),
        tried_at: ts(at),
        synced_at: if error.is_none() { Some(ts(at)) } else { last_good },
        error: error.map(str::to_owned),
        wanted: false,
    };
    write_sync(conn, &row, known.is_some())
}

/// Wishes a new reading of an account.
pub fn want_sync(conn: &mut Conn, waba_key: &str, now: DateTime<Utc>) -> Result<(), StoreError> {
    let known: Option<SyncRow> =
        template_syncs::table.find(waba_key).select(SyncRow::as_select()).first(conn).optional()?;
    let is_known = known.is_some();
    let fresh = SyncRow {
        waba_key: waba_key.to_owned(),
        tried_at: ts(now),
        synced_at: None,
        error: None,
        wanted: true,
    };
    write_sync(conn, &SyncRow { wanted: true, ..known.unwrap_or(fresh) }, is_known)
}

fn write_sync(conn: &mut Conn, row: &SyncRow, is_known: bool) -> Result<(), StoreError> {
    if is_known {
        diesel::update(template_syncs::table.find(&row.waba_key)).set(row).execute(conn)?;
    } else {
        diesel::insert_into(template_syncs::table).values(row).execute(conn)?;
    }
    Ok(())
}
