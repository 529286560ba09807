//! The configuration that holds, as text: what was read, in the order of reading.

use std::fmt::Write as _;

use toml::Value;

/// What is shown of a configuration. Secrets come in masked already.
#[derive(Clone, Debug, Default)]
pub(super) struct Effective {
    settings: Vec<Setting>,
    tables: Vec<(String, Effective)>,
}

#[derive(Clone, Debug)]
struct Setting {
    key: String,
    value: Value,
    variable: Option<String>,
}

impl Effective {
    pub(super) fn push(&mut self, key: &str, value: Value, variable: Option<String>) {
        self.settings.retain(|setting| setting.key != key);
        self.settings.push(Setting { key: key.to_owned(), value, variable });
    }

    /// One of an array of tables.
    pub(super) fn append_table(&mut self, key: &str, table: Effective) {
        self.tables.push((key.to_owned(), table));
    }

    /// TOML, each value that the environment gave marked with its variable.
    pub(super) fn to_toml(&self) -> String {
        let mut text = String::new();
        for section in self.sections() {
            if !section.is_empty() {
                let _ = write!(text, "\n[{section}]\n");
            }
            for setting in &self.settings {
                let (of, name) = split(&setting.key);
                if of == section {
                    let _ = write!(text, "{name} = {}", setting.value);
                    if let Some(variable) = &setting.variable {
                        let _ = write!(text, " # {variable}");
                    }
                    text.push('\n');
                }
            }
            for (key, table) in self.tables.iter().filter(|(key, _)| split(key).0 == section) {
                let _ = write!(text, "\n[[{key}]]\n{}", table.to_toml());
            }
        }
        text
    }

    fn sections(&self) -> Vec<&str> {
        let mut sections = vec![""];
        for setting in &self.settings {
            let (section, _) = split(&setting.key);
            if !sections.contains(&section) {
                sections.push(section);
            }
        }
        sections
    }
}

fn split(key: &str) -> (&str, &str) {
    key.rsplit_once('.').unwrap_or(("", key))
}
