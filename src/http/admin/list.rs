//! Lists: rows of cells, a filter above, the next page below.

use askama::Template;
use chrono::NaiveDateTime;

use super::texts::Say;
use super::visit::Shell;
use crate::store::Page;

/// Rows of a page.
pub(super) const ROWS: i64 = 50;

/// How a state looks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Tone {
    Good,
    Warn,
    Bad,
    Calm,
}

impl Tone {
    /// The class of the style.
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Warn => "warn",
            Self::Bad => "bad",
            Self::Calm => "calm",
        }
    }
}

/// A word with a state.
#[derive(Clone, Debug)]
pub(super) struct Badge {
    pub(super) tone: Tone,
    pub(super) text: String,
}

impl Badge {
    pub(super) fn new(tone: Tone, text: impl Into<String>) -> Self {
        Self { tone, text: text.into() }
    }
}

/// What stands in a cell.
#[derive(Clone, Debug)]
pub(super) enum Cell {
    Text(String),
    Code(String),
    Time(String),
    Link(String, String),
    State(Badge),
    /// A button that posts to an address: (address, label, question before it).
    Button(String, String, String),
}

/// A table.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    pub(super) heads: Vec<String>,
    pub(super) rows: Vec<Vec<Cell>>,
}

impl Table {
    /// A table without rows, its heads named by keys of the catalogue.
    pub(super) fn headed(say: &Say, heads: &[&str]) -> Self {
        Self { heads: heads.iter().map(|key| say.t(key).to_owned()).collect(), rows: Vec::new() }
    }

    /// For the template: the head of a column.
    pub(super) fn head(&self, index: &usize) -> &str {
        self.heads.get(*index).map_or("", String::as_str)
    }
}

/// A field of the filter above a list.
#[derive(Clone, Debug)]
pub(super) struct Filter {
    pub(super) name: &'static str,
    pub(super) label: String,
    pub(super) value: String,
    /// Empty: any text.
    pub(super) choices: Vec<(String, String)>,
}

impl Filter {
    /// For the template: whether a choice is the present one.
    pub(super) fn is_chosen(&self, value: &str) -> bool {
        self.value == value
    }
}

/// A button at the head of a list.
#[derive(Clone, Debug)]
pub(super) struct Action {
    pub(super) href: String,
    pub(super) label: String,
}

/// A button at the head of a list that changes something.
#[derive(Clone, Debug)]
pub(super) struct Deed {
    pub(super) action: String,
    pub(super) label: String,
    pub(super) question: String,
    pub(super) hidden: Vec<(String, String)>,
}

/// A page with one list.
#[derive(Template)]
#[template(path = "list.html")]
pub(super) struct ListPage {
    pub(super) s: Shell,
    pub(super) title: String,
    pub(super) lead: String,
    pub(super) actions: Vec<Action>,
    pub(super) deeds: Vec<Deed>,
    pub(super) filters: Vec<Filter>,
    pub(super) table: Table,
    pub(super) empty: String,
    pub(super) next: Option<String>,
}

impl ListPage {
    /// A list with nothing but its rows.
    pub(super) fn new(s: Shell, lead: &str, empty: &str, table: Table) -> Self {
        Self {
            title: s.title.clone(),
            s,
            lead: lead.to_owned(),
            actions: Vec::new(),
            deeds: Vec::new(),
            filters: Vec::new(),
            table,
            empty: empty.to_owned(),
            next: None,
        }
    }

    /// With a button to another page for those who may press it.
    pub(super) fn action_if(self, may: bool, href: &str, label: &str) -> Self {
        if may { self.action(href, label) } else { self }
    }

    /// With a button to another page.
    pub(super) fn action(mut self, href: &str, label: &str) -> Self {
        self.actions.push(Action { href: href.to_owned(), label: label.to_owned() });
        self
    }
}

/// The page of a list that an address asks for: one row more than is shown.
pub(super) fn page(cursor: Option<&str>) -> Page {
    let plain = |cursor: &&str| cursor.len() <= 64 && cursor.bytes().all(|b| b.is_ascii_alphanumeric());
    Page { limit: ROWS + 1, cursor: cursor.filter(plain).map(str::to_owned) }
}

/// Takes the row too many away; the cursor of the next page, if there is one.
pub(super) fn cut<R>(rows: &mut Vec<R>, id: impl Fn(&R) -> &str) -> Option<String> {
    let shown = usize::try_from(ROWS).unwrap_or(usize::MAX);
    let more = rows.len() > shown;
    rows.truncate(shown);
    rows.last().filter(|_| more).map(|row| id(row).to_owned())
}

/// An instant as people read it; the page's script shows it in their own time.
pub(super) fn time(at: NaiveDateTime) -> String {
    at.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}
