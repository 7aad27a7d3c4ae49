//! The log: on standard error, from the level on that `RUST_LOG` says.
//!
//! Most commands log errors only. At a lower level the warnings of a worker's building blocks would
//! stand between the lines of an answer, although the command itself reports what it could not do.
//! The log of `kcl multilang`, a service, begins at `info`.
//!
//! ```text
//! {"timestamp":"2026-11-30T00:42:06Z","level":"INFO","target":"kcl","message":"stopped: ...","spans":["shard{id=...}"]}
//! ```
//!
//! A line is written at once and never split, so lines of several tasks do not mix.

use std::fmt;
use std::io::IsTerminal as _;

use clap::ValueEnum;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormattedFields};
use tracing_subscriber::registry::{LookupSpan, Scope};

use crate::failure::Failure;

/// How a line of the log is written.
///
/// The level is the same in both: RUST_LOG sets it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// A JSON object, for programs: `timestamp`, `level`, `target`, `message`, `spans`, and the
    /// fields of the line.
    Json,
}

/// Starts the log of this process, from `level` on if `RUST_LOG` is not set. It is called once,
/// before anything is logged.
///
/// # Errors
/// `RUST_LOG` cannot be parsed. Ignoring it would hide the log from somebody who asked for it.
pub(crate) fn start(format: LogFormat, level: &str) -> Result<(), Failure> {
    let text = std::env::var("RUST_LOG").unwrap_or_else(|_| level.to_owned());
    let filter = EnvFilter::builder().parse(&text).map_err(|error| {
        Failure::new(
            format!(
                "invalid RUST_LOG: got `{text}`, expected a level such as `info` or \
                 `kcl_core=debug`"
            ),
            error,
        )
    })?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Text => log
            .with_ansi(super::paint::wanted(std::io::stderr().is_terminal()))
            .init(),
        LogFormat::Json => log.with_ansi(false).event_format(JsonLine).init(),
    }
    Ok(())
}

/// One JSON object per line, for programs that collect logs. tracing-subscriber has such a format
/// too, but with the fields in an object of their own, where most collectors do not look.
struct JsonLine;

impl<S, N> FormatEvent<S, N> for JsonLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        let mut line = Map::new();
        line.insert("timestamp".to_owned(), time.into());
        line.insert("level".to_owned(), event.metadata().level().as_str().into());
        line.insert("target".to_owned(), event.metadata().target().into());
        // After the fixed members: a field of the same name replaces one of them, which is what the
        // author of the line wrote.
        event.record(&mut Fields(&mut line));
        let spans: Vec<Value> = context
            .event_scope()
            .into_iter()
            // The outermost first, as in the text format.
            .flat_map(Scope::from_root)
            .map(|span| {
                let extensions = span.extensions();
                let fields = extensions
                    .get::<FormattedFields<N>>()
                    .map_or("", |fields| fields.as_str());
                format!("{}{{{fields}}}", span.name()).into()
            })
            .collect();
        if !spans.is_empty() {
            line.insert("spans".to_owned(), spans.into());
        }
        writeln!(writer, "{}", Value::Object(line))
    }
}

/// Takes the fields of an event into the object, with their types: a number stays a number.
struct Fields<'a>(&'a mut Map<String, Value>);

impl Fields<'_> {
    /// Adds one field. A field with the name of one that is there already replaces it.
    fn set(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.set(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field, value);
    }
}
