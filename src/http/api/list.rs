//! Lists: a page at a time, and where the next one begins.

use actix_web::web;
use chrono::{DateTime, NaiveDateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::http::Problem;
use crate::store::Page;

const DEFAULT_LIMIT: i64 = 50;
const MAX_LIMIT: i64 = 500;

/// Which page is wanted.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Paging {
    /// Rows at most, 1 to 500; 50 if not said.
    limit: Option<String>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct List<T> {
    /// The rows.
    pub(super) items: Vec<T>,
    /// What to pass as `cursor` for the next page; `null` = this is the last.
    pub(super) next: Option<String>,
}

impl Paging {
    /// The page to read: one row more than is shown, by which a further page is known.
    pub(super) fn page(&self) -> Result<Page, Problem> {
        let limit = match &self.limit {
            None => DEFAULT_LIMIT,
            Some(text) => {
                let limit = text.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
                limit.ok_or_else(|| Problem::field("limit", format!("must be 1 to {MAX_LIMIT}")))?
            }
        };
        let cursor = self.cursor.clone().filter(|cursor| !cursor.is_empty());
        if cursor.as_ref().is_some_and(|cursor| cursor.len() > 64 || cursor.contains('\0')) {
            return Err(Problem::field("cursor", "is not one that a list gave"));
        }
        Ok(Page { limit: limit + 1, cursor })
    }
}

impl<T> List<T> {
    /// Shows rows that were read with [`Paging::page`].
    pub(super) fn of<R>(
        mut rows: Vec<R>,
        page_limit: i64,
        id: impl Fn(&R) -> &str,
        view: impl FnMut(R) -> T,
    ) -> web::Json<Self> {
        let shown = usize::try_from(page_limit - 1).unwrap_or(usize::MAX);
        let more = rows.len() > shown;
        rows.truncate(shown);
        let next = rows.last().filter(|_| more).map(|row| id(row).to_owned());
        web::Json(Self { items: rows.into_iter().map(view).collect(), next })
    }
}

/// A stored instant as it is shown.
pub(super) fn utc(at: NaiveDateTime) -> DateTime<Utc> {
    at.and_utc()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paging(limit: &str) -> Result<Page, Problem> {
        Paging { limit: Some(limit.into()), cursor: None }.page()
    }

    #[test]
    fn a_page_reads_one_row_more_than_it_shows() {
        assert_eq!(paging("2").unwrap().limit, 3);
        for wrong in ["0", "501", "-1", "x", ""] {
            assert!(paging(wrong).is_err(), "{wrong}");
        }
        let list = List::of(vec!["a", "b", "c"], 3, |row| row, |row| row.to_owned());
        assert_eq!((list.items.len(), list.next.as_deref()), (2, Some("b")));
        let list = List::of(vec!["a", "b"], 3, |row| row, |row| row.to_owned());
        assert_eq!((list.items.len(), list.next.as_deref()), (2, None));
    }
}
