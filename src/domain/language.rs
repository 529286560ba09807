//! Languages that the bridge itself speaks.

use serde::{Deserialize, Serialize};

/// Language of notes in a line and of pages.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// English, also for every language that we do not speak.
    #[default]
    En,
    /// Russian.
    Ru,
}

impl Language {
    /// Reads a portal's `LANG` / `LANGUAGE_ID`; Russian also serves the portals that default to it.
    pub fn from_code(code: &str) -> Self {
        match code.get(..2).unwrap_or_default().to_ascii_lowercase().as_str() {
            "ru" | "be" | "kk" | "kz" | "by" => Self::Ru,
            _ => Self::En,
        }
    }

    /// `en` or `ru`.
    pub fn code(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Ru => "ru",
        }
    }
}
