//! What operators see: the log on stderr, and the numbers behind `/metrics`.
//!
//! Levels and fields are described in `docs/logging.md`. The log subscriber is the one thing that is set
//! for the whole process; metrics belong to their app.

mod metrics;

use std::io::IsTerminal as _;

use thiserror::Error;
use tracing::Subscriber;
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

pub use metrics::Metrics;

use crate::config::{LogConfig, LogFormat};

/// Lines that may wait for a slow reader of the log; further ones are lost.
const LINES: usize = 8192;

/// What its library tells of each start and stop of a listener, we tell ourselves; and what a stranger sends that is
/// no HTTP is no error of ours.
const QUIET: &str = "actix_server=warn,actix_http=off";

/// Why there is no log.
#[derive(Debug, Error)]
pub enum TelemetryError {
    /// `log.level` cannot be read; a loaded configuration has checked that.
    #[error("log.level cannot be read")]
    Level(#[from] tracing_subscriber::filter::ParseError),
    /// Something in this process logs already.
    #[error("the log of this process is set up already")]
    Taken(#[from] tracing::subscriber::SetGlobalDefaultError),
}

/// Writes what still waits of the log when it is dropped, and waits for that a moment.
#[must_use = "without it the end of the log is lost"]
pub struct LogGuard {
    _worker: WorkerGuard,
}

/// Sends the log of this process to stderr, in the configured form. Once a process.
///
/// Nobody waits for it: a collector that does not read, a full disk or a closed pipe costs lines, never a message
/// or a call.
pub fn init(config: &LogConfig) -> Result<LogGuard, TelemetryError> {
    let colours = config.format == LogFormat::Text && std::io::stderr().is_terminal();
    let (writer, worker) =
        NonBlockingBuilder::default().buffered_lines_limit(LINES).lossy(true).finish(std::io::stderr());
    let subscriber = subscriber(config, writer, colours)?;
    tracing::subscriber::set_global_default(subscriber)?;
    Ok(LogGuard { _worker: worker })
}

fn subscriber<W>(
    config: &LogConfig,
    writer: W,
    colours: bool,
) -> Result<Box<dyn Subscriber + Send + Sync>, TelemetryError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let builder = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_new(format!("{QUIET},{}", config.level))?)
        .with_writer(writer)
        // It would tell of it on stderr, where just that has failed.
        .log_internal_errors(false)
        .with_ansi(colours);
    Ok(match config.format {
        LogFormat::Text => Box::new(builder.finish()),
        LogFormat::Json => Box::new(builder.json().flatten_event(true).with_current_span(false).finish()),
    })
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat, level: &str) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let config = LogConfig { format, level: level.to_owned() };
        let subscriber = subscriber(&config, move || writer.clone(), false).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            let _span = tracing::info_span!("relay", job.id = "j1").entered();
            tracing::info!(portal.member_id = "m1", "handed to the portal");
            tracing::debug!("a detail");
        });
        let bytes = lines.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn json_lines_hold_message_fields_and_spans() {
        let text = logged(LogFormat::Json, "info");
        let line: serde_json::Value = serde_json::from_str(text.trim()).unwrap();
        assert_eq!(line["message"], "handed to the portal");
        assert_eq!(line["portal.member_id"], "m1");
        assert_eq!(line["spans"][0]["job.id"], "j1");
        assert_eq!(line["level"], "INFO");
    }

    #[test]
    fn levels_are_set_as_a_whole_and_by_module() {
        assert!(!logged(LogFormat::Text, "info").contains("a detail"));
        assert!(logged(LogFormat::Text, "warn,wabridge::telemetry=debug").contains("a detail"));
        assert_eq!(logged(LogFormat::Text, "error"), "");
    }

    #[test]
    fn text_lines_can_be_read_alone() {
        let text = logged(LogFormat::Text, "info");
        assert!(text.contains("handed to the portal") && text.contains("job.id=\"j1\""), "{text}");
    }
}
