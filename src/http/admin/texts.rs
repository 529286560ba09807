//! What the panel says: one catalogue for each language, with the same keys (a test looks).
//!
//! The use cases tell what is wrong in English; what that is in Russian, they know themselves (`setup::said`).

use std::collections::HashMap;
use std::fmt::Display;
use std::sync::Arc;

use crate::domain::Language;
use crate::setup::{FieldError, said};

const EN: &str = include_str!("texts/en.toml");
const RU: &str = include_str!("texts/ru.toml");

/// The catalogues.
#[derive(Debug)]
pub struct Texts {
    en: HashMap<String, String>,
    ru: HashMap<String, String>,
}

impl Default for Texts {
    fn default() -> Self {
        Self { en: read(EN), ru: read(RU) }
    }
}

/// A catalogue, as a page uses it.
#[derive(Clone, Debug)]
pub(in crate::http) struct Say {
    texts: Arc<Texts>,
    language: Language,
}

impl Say {
    pub(in crate::http) fn new(texts: Arc<Texts>, language: Language) -> Self {
        Self { texts, language }
    }

    /// `en` or `ru`.
    pub(super) fn language(&self) -> Language {
        self.language
    }

    /// The text of a key; the key itself if there is none, which a test excludes.
    pub(in crate::http) fn t<'a>(&'a self, key: &'a str) -> &'a str {
        self.find(key).unwrap_or(key)
    }

    /// The text of a key with `{}` replaced.
    pub(in crate::http) fn t1(&self, key: &str, value: &dyn Display) -> String {
        self.t(key).replacen("{}", &value.to_string(), 1)
    }

    /// The text of a key if there is one; for words of others, as states.
    pub(super) fn find(&self, key: &str) -> Option<&str> {
        let own = match self.language {
            Language::En => &self.texts.en,
            Language::Ru => &self.texts.ru,
        };
        own.get(key).or_else(|| self.texts.en.get(key)).map(String::as_str)
    }

    /// A word of the bridge or of a cloud, in the reader's language if we know it.
    pub(super) fn word(&self, group: &str, word: &str) -> String {
        self.find(&format!("{group}.{}", word.to_lowercase())).unwrap_or(word).to_owned()
    }

    /// What is wrong with a field.
    pub(in crate::http) fn wrong(&self, fault: &FieldError) -> String {
        match (self.language, &fault.russian) {
            (Language::Ru, Some(russian)) => russian.clone(),
            _ => self.said(&fault.message),
        }
    }

    /// A sentence of the use cases, in the reader's language if we know it.
    pub(in crate::http) fn said(&self, sentence: &str) -> String {
        match self.language {
            Language::En => capitalised(sentence),
            Language::Ru => capitalised(&said::in_russian(sentence).unwrap_or_else(|| sentence.to_owned())),
        }
    }
}

fn capitalised(sentence: &str) -> String {
    let mut chars = sentence.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// A file of tables as `table.key`.
fn read(text: &str) -> HashMap<String, String> {
    let table: toml::Table = text.parse().unwrap_or_default();
    let mut all = HashMap::new();
    for (group, keys) in table {
        if let toml::Value::Table(keys) = keys {
            for (key, text) in keys {
                if let toml::Value::String(text) = text {
                    all.insert(format!("{group}.{key}"), text);
                }
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::{Path, PathBuf};

    use super::*;

    fn keys(texts: &HashMap<String, String>) -> BTreeSet<&str> {
        texts.keys().map(String::as_str).collect()
    }

    fn sources() -> Vec<String> {
        let mut files = vec![PathBuf::from("src/http/admin.rs"), PathBuf::from("src/http/settings.rs")];
        let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http/admin")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|e| e == "rs" || e == "html")
                    && !path.ends_with("texts.rs")
                {
                    files.push(path);
                }
            }
        }
        files.iter().filter_map(|file| std::fs::read_to_string(file).ok()).collect()
    }

    #[test]
    fn both_catalogues_say_the_same_things() {
        let texts = Texts::default();
        let (en, ru) = (keys(&texts.en), keys(&texts.ru));
        assert!(en.len() > 100);
        assert_eq!(en.difference(&ru).collect::<Vec<_>>(), Vec::<&&str>::new(), "missing in Russian");
        assert_eq!(ru.difference(&en).collect::<Vec<_>>(), Vec::<&&str>::new(), "missing in English");
        for key in en {
            let gaps = |texts: &HashMap<String, String>| texts[key].matches("{}").count();
            assert_eq!(gaps(&texts.en), gaps(&texts.ru), "{key}");
        }
    }

    #[test]
    fn every_key_that_is_used_exists() {
        let texts = Texts::default();
        let mut used = BTreeSet::new();
        for source in sources() {
            for call in [".t(\"", ".t1(\"", "title(\"", "Key(\""] {
                for (at, _) in source.match_indices(call) {
                    let key = source[at + call.len()..].split('"').next().unwrap();
                    used.insert(key.to_owned());
                }
            }
        }
        let missing: Vec<_> = used.iter().filter(|key| !texts.en.contains_key(*key)).collect();
        assert!(missing.is_empty(), "{missing:?}");
        assert!(used.len() > 100, "{}", used.len());
    }
}
