//! The change signal as an item.

use aws_sdk_dynamodb::types::AttributeValue;
use kcl_core::lease::{ChangeSignal, Changed, MalformedRow};
use kcl_core::model::{LeaseKey, WorkerId};

use super::attribute::{SIGNAL_RECENT, SIGNAL_VALUE};
use super::{Reader, text};

/// The list of announcements is cut to this many bytes, so that the row with its attribute names
/// stays below 4 KB, the unit in which reads are counted: every worker reads it at least every 650 ms.
const MOST_BYTES: usize = 3600;
/// What DynamoDB counts for each list element in addition to its text, in bytes.
const ELEMENT: usize = 2;

/// The latest announcements as a list of texts, each made of the signal's value, a space, and `L`
/// with the key of a lease or `W` with a worker. If no announcement was ever dropped, the last text
/// is the value before all of them, a space and `B`.
///
/// The newest come first, so what does not fit is what other workers have most likely read already.
pub(crate) fn recent_value(signal: &ChangeSignal) -> AttributeValue {
    let mut left = MOST_BYTES;
    let line = |(value, changed): &(String, Changed)| match changed {
        Changed::Lease(key) => format!("{value} L{key}"),
        Changed::Worker(worker) => format!("{value} W{worker}"),
    };
    let fits = |line: &String| match left.checked_sub(line.len() + ELEMENT) {
        Some(rest) => {
            left = rest;
            true
        }
        None => false,
    };
    let first = signal.first.iter().map(|value| format!("{value} B"));
    AttributeValue::L(
        signal
            .recent
            .iter()
            .map(line)
            .chain(first)
            .take_while(fits)
            .map(text)
            .collect(),
    )
}

/// Reads the change signal from its row.
///
/// # Errors
/// A line that is not of this form. The row is this crate's own, so it was edited or is of a later
/// version.
pub(crate) fn read_signal(reader: Reader<'_>) -> Result<ChangeSignal, MalformedRow> {
    let mut signal = ChangeSignal::new(reader.text(SIGNAL_VALUE)?.unwrap_or_default());
    for line in reader.texts(SIGNAL_RECENT)? {
        let malformed = || {
            reader.malformed(
                SIGNAL_RECENT,
                Some(line),
                "a value and what was announced with it, in the row `~fleet-0`",
            )
        };
        let (value, changed) = line.split_once(' ').ok_or_else(malformed)?;
        let changed = match (changed.get(..1), changed.get(1..)) {
            (Some("L"), Some(key)) => Changed::Lease(LeaseKey::parse(key)),
            (Some("W"), Some(worker)) => Changed::Worker(WorkerId::from(worker)),
            (Some("B"), Some("")) => {
                signal.first = Some(value.to_owned());
                continue;
            }
            _ => return Err(malformed()),
        };
        signal.recent.push((value.to_owned(), changed));
    }
    Ok(signal)
}
