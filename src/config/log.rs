//! `[log]`: what is written to stderr, and how.

use tracing_subscriber::EnvFilter;

use super::parse;
use super::reader::Reader;

/// `[log]`.
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// For people or for collectors.
    pub format: LogFormat,
    /// Levels, as `info` or `info,wabridge::relay=debug`; known to be well-formed.
    pub level: String,
}

/// Form of a log line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogFormat {
    /// A line for people.
    Text,
    /// A JSON object a line.
    Json,
}

impl LogConfig {
    pub(super) fn read(r: &mut Reader<'_>) -> Self {
        let format = |text: &str| parse::word(text, &[("text", LogFormat::Text), ("json", LogFormat::Json)]);
        Self { format: r.text("log.format", format), level: r.text("log.level", level) }
    }
}

fn level(text: &str) -> Result<String, String> {
    let example = "as info, or info,wabridge::relay=debug";
    if text.trim().is_empty() {
        return Err(format!("must name a level, {example}"));
    }
    // A bare word that is no level would pass as the name of a module, and silence everything.
    for part in text.split(',').filter(|part| !part.contains(['=', '[', ':'])) {
        let levels = ["off", "error", "warn", "info", "debug", "trace"];
        if !levels.contains(&part.trim().to_ascii_lowercase().as_str()) {
            return Err(format!("`{}` is none of {}", part.trim(), levels.join(", ")));
        }
    }
    match EnvFilter::try_new(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(format!("`{text}` cannot be read ({error}); write {example}")),
    }
}
