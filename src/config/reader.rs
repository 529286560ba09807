//! Reads key by key from environment, file and defaults, collecting every fault on the way.
//!
//! Where a value is faulty the default stands in for it, so that reading goes on and the next fault is
//! found too; [`super::Config::load`] refuses the result if there was any.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use toml::{Table, Value};
use url::Url;

use super::effective::Effective;
use super::error::Fault;
use crate::domain::Secret;

/// What a secret is shown as.
pub(super) const MASK: &str = "••••";

const DAY_SECONDS: u64 = 24 * 3600;

/// Settings from the environment: dotted key → variable and its text.
pub(super) type Overrides = BTreeMap<String, (String, String)>;

/// A place in the configuration that keys are read from.
pub(super) struct Reader<'a> {
    env: &'a Overrides,
    file: &'a Table,
    defaults: &'a Table,
    /// What comes before a key when it is named: empty, or `sip.trunks[0].`.
    prefix: String,
    known: BTreeSet<String>,
    /// Those of the known keys that only the file can hold.
    tables: BTreeSet<String>,
    pub(super) faults: Vec<Fault>,
    pub(super) effective: Effective,
}

/// A value as it was given, and by whom.
enum Given<'a> {
    Variable(&'a str),
    File(&'a Value),
    Default(&'a Value),
}

impl<'a> Reader<'a> {
    pub(super) fn new(env: &'a Overrides, file: &'a Table, defaults: &'a Table) -> Self {
        Self {
            env,
            file,
            defaults,
            prefix: String::new(),
            known: BTreeSet::new(),
            tables: BTreeSet::new(),
            faults: Vec::new(),
            effective: Effective::default(),
        }
    }

    /// A web address that may bear a key: only its host is shown.
    pub(super) fn address(&mut self, key: &str, parse: impl Fn(&str) -> Result<Url, String>) -> Option<Url> {
        let url = self.optional(key, parse)?;
        if url.path().trim_matches('/').is_empty() && url.query().is_none() {
            return Some(url);
        }
        self.show(key, Value::String(format!("{}/{MASK}", url.origin().ascii_serialization())));
        Some(url)
    }

    /// A text with a default, made into `T` by `parse`, whose error says in words what is wrong.
    #[expect(clippy::expect_used, reason = "a test reads every key from the embedded defaults")]
    pub(super) fn text<T>(&mut self, key: &str, parse: impl Fn(&str) -> Result<T, String>) -> T {
        self.optional(key, &parse).unwrap_or_else(|| {
            let default = look_up(self.defaults, key).and_then(Value::as_str);
            default.and_then(|text| parse(text).ok()).expect("a default for every text that needs one")
        })
    }

    /// A text that may be absent or empty.
    pub(super) fn optional<T>(&mut self, key: &str, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let text = self.value(key, as_text)?;
        if text.is_empty() && look_up(self.defaults, key).is_none() {
            return None;
        }
        match parse(&text) {
            Ok(value) => {
                self.show(key, Value::String(text));
                Some(value)
            }
            Err(problem) => {
                self.fault(key, problem);
                None
            }
        }
    }

    /// An optional path.
    pub(super) fn path(&mut self, key: &str) -> Option<PathBuf> {
        self.optional(key, |text| Ok(PathBuf::from(text)))
    }

    /// `true` or `false`, with a default.
    pub(super) fn flag(&mut self, key: &str) -> bool {
        let value = self.value(key, as_flag).unwrap_or_default();
        self.show(key, Value::Boolean(value));
        value
    }

    /// A whole number with a default.
    pub(super) fn whole(&mut self, key: &str, range: RangeInclusive<u32>) -> u32 {
        self.whole_or(key, range, None)
    }

    /// A whole number; `default` for a key that the defaults file shows only as an example.
    pub(super) fn whole_or(&mut self, key: &str, range: RangeInclusive<u32>, default: Option<u32>) -> u32 {
        let given = self.value(key, as_whole).or(default.map(i64::from));
        let number = given.and_then(|number| u32::try_from(number).ok()).filter(|n| range.contains(n));
        match (number, given) {
            (Some(number), _) => {
                self.show(key, Value::Integer(i64::from(number)));
                number
            }
            (None, Some(given)) => {
                let problem = format!("{given} is not between {} and {}", range.start(), range.end());
                self.fault(key, problem);
                *range.start()
            }
            (None, None) => *range.start(),
        }
    }

    /// A number of seconds with a default.
    pub(super) fn seconds(&mut self, key: &str, range: RangeInclusive<u32>) -> Duration {
        Duration::from_secs(u64::from(self.whole(key, range)))
    }

    /// A number of days with a default: up to a century.
    pub(super) fn days(&mut self, key: &str, at_least: u32) -> Duration {
        Duration::from_secs(u64::from(self.whole(key, at_least..=36_500)) * DAY_SECONDS)
    }

    /// A list of texts, each made into `T` by `parse`.
    pub(super) fn list<T>(&mut self, key: &str, parse: impl Fn(&str) -> Result<T, String>) -> Vec<T> {
        let Some(texts) = self.value(key, as_list) else { return Vec::new() };
        let mut values = Vec::with_capacity(texts.len());
        for text in &texts {
            match parse(text) {
                Ok(value) => values.push(value),
                Err(problem) => self.fault(key, problem),
            }
        }
        self.show(key, Value::Array(texts.into_iter().map(Value::String).collect()));
        values
    }

    /// A secret `key`, or the content of the file that `key_file` names.
    pub(super) fn secret(&mut self, key: &str) -> Option<Secret> {
        let key_file = format!("{key}_file");
        self.known.extend([key.to_owned(), key_file.clone()]);
        let env_decides = self.in_env(key) || self.in_env(&key_file);
        let mut read = |name: &str| {
            if env_decides && !self.in_env(name) {
                return None;
            }
            self.value(name, as_text).filter(|text| !text.is_empty())
        };
        match (read(key), read(&key_file)) {
            (Some(_), Some(_)) => {
                self.fault(key, format!("given twice: by {key} and by {key_file}; leave one out"));
                None
            }
            (Some(text), None) => {
                self.show(key, Value::String(MASK.to_owned()));
                Some(Secret::new(text))
            }
            (None, Some(path)) => match std::fs::read_to_string(&path) {
                Ok(text) => {
                    self.show(&key_file, Value::String(path));
                    Some(Secret::new(text.trim_end_matches(['\r', '\n'])))
                }
                Err(error) => {
                    self.fault(&key_file, format!("cannot read {path}: {error}"));
                    None
                }
            },
            (None, None) => None,
        }
    }

    /// An array of tables such as `[[sip.trunks]]`, which only the file can hold; `read` takes one.
    pub(super) fn tables<T>(&mut self, key: &str, mut read: impl FnMut(&mut Reader<'_>) -> T) -> Vec<T> {
        self.known.insert(key.to_owned());
        self.tables.insert(key.to_owned());
        let tables: Option<Vec<&Table>> = match look_up(self.file, key) {
            None => return Vec::new(),
            Some(Value::Array(items)) => items.iter().map(Value::as_table).collect(),
            Some(_) => None,
        };
        let Some(tables) = tables else {
            self.fault(key, format!("is written as [[{key}]], followed by its keys"));
            return Vec::new();
        };
        let (env, defaults) = (Overrides::new(), Table::new());
        let mut values = Vec::with_capacity(tables.len());
        for (index, table) in tables.into_iter().enumerate() {
            let mut reader = Reader::new(&env, table, &defaults);
            reader.prefix = format!("{key}[{index}].");
            values.push(read(&mut reader));
            reader.refuse_unknown_keys();
            self.faults.append(&mut reader.faults);
            self.effective.append_table(key, reader.effective);
        }
        values
    }

    /// Notes what is wrong with a key.
    pub(super) fn fault(&mut self, key: &str, problem: impl Into<String>) {
        let key = self.full(key);
        let variable = self.env.get(&key).map(|(variable, _)| variable.clone());
        self.faults.push(Fault { key, variable, problem: problem.into() });
    }

    /// Shows a value in the effective configuration, with the variable that it came from.
    pub(super) fn show(&mut self, key: &str, value: Value) {
        let variable = self.env.get(&self.full(key)).map(|(variable, _)| variable.clone());
        self.effective.push(key, value, variable);
    }

    /// Whether the environment can give such a key.
    pub(super) fn takes_variable(&self, key: &str) -> bool {
        self.known.contains(key) && !self.tables.contains(key)
    }

    /// Every key that has been asked for.
    #[cfg(test)]
    pub(super) fn known(&self) -> &BTreeSet<String> {
        &self.known
    }

    /// Call when everything is read: what the file holds beyond that is a fault.
    pub(super) fn refuse_unknown_keys(&mut self) {
        let mut unknown = Vec::new();
        collect_unknown(self.file, "", &self.known, &mut unknown);
        for (key, problem) in unknown {
            self.fault(&key, problem);
        }
    }

    fn value<T>(&mut self, key: &str, take: fn(&Given<'_>) -> Result<T, &'static str>) -> Option<T> {
        self.known.insert(key.to_owned());
        let full = self.full(key);
        let given = match self.env.get(&full) {
            Some((_, text)) => Given::Variable(text),
            None => match look_up(self.file, key) {
                Some(value) => Given::File(value),
                None => Given::Default(look_up(self.defaults, key)?),
            },
        };
        match take(&given) {
            Ok(value) => Some(value),
            Err(problem) => {
                self.fault(key, problem);
                None
            }
        }
    }

    fn in_env(&self, key: &str) -> bool {
        self.env.get(&self.full(key)).is_some_and(|(_, text)| !text.is_empty())
    }

    fn full(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }
}

pub(super) fn look_up<'v>(table: &'v Table, key: &str) -> Option<&'v Value> {
    match key.split_once('.') {
        None => table.get(key),
        Some((section, rest)) => look_up(table.get(section)?.as_table()?, rest),
    }
}

fn collect_unknown(table: &Table, path: &str, known: &BTreeSet<String>, unknown: &mut Vec<(String, String)>) {
    for (name, value) in table {
        let key = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        if known.contains(&key) {
            continue;
        }
        let is_section = known.iter().any(|k| k.strip_prefix(&key).is_some_and(|rest| rest.starts_with('.')));
        match value.as_table() {
            Some(inner) if is_section => collect_unknown(inner, &key, known, unknown),
            None if is_section => unknown.push((key.clone(), format!("is a section: write [{key}]"))),
            _ => unknown.push((key, "there is no such key; see `wabridge config --defaults`".to_owned())),
        }
    }
}

impl Given<'_> {
    fn value(&self) -> Option<&Value> {
        match self {
            Self::Variable(_) => None,
            Self::File(value) | Self::Default(value) => Some(value),
        }
    }
}

fn as_text(given: &Given<'_>) -> Result<String, &'static str> {
    match given {
        Given::Variable(text) => Ok((*text).to_owned()),
        _ => given.value().and_then(Value::as_str).map(str::to_owned).ok_or("must be a text in quotes"),
    }
}

fn as_flag(given: &Given<'_>) -> Result<bool, &'static str> {
    match given {
        Given::Variable(text) => text.trim().parse().ok(),
        _ => given.value().and_then(Value::as_bool),
    }
    .ok_or("must be true or false")
}

fn as_whole(given: &Given<'_>) -> Result<i64, &'static str> {
    match given {
        Given::Variable(text) => text.trim().parse().ok(),
        _ => given.value().and_then(Value::as_integer),
    }
    .ok_or("must be a whole number without quotes")
}

fn as_list(given: &Given<'_>) -> Result<Vec<String>, &'static str> {
    const PROBLEM: &str = r#"must be a list of texts, as ["a","b"]"#;
    let parsed;
    let value = match given {
        Given::Variable(text) => {
            parsed = format!("list = {text}").parse::<Table>().map_err(|_| PROBLEM)?;
            parsed.get("list")
        }
        _ => given.value(),
    };
    let items = value.and_then(Value::as_array).ok_or(PROBLEM)?;
    items.iter().map(|item| item.as_str().map(str::to_owned).ok_or(PROBLEM)).collect()
}
