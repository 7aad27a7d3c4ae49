//! The allowed values of a worker's settings.
//!
//! A limit is here for one of three reasons: the service has it, a smaller value makes the protocol
//! unsafe or useless, or a larger one can only be a mistake of units. `build` checks all of them
//! and makes no call, so a wrong setting is found before anything runs.

use std::time::Duration;

use crate::lease::LeaseTable;
use crate::model::{Capacity, InitialPosition, Timestamp};

use super::setting_error::SettingError;
use super::settings::Settings;

/// Checks every setting that has a default. The first one that is not allowed is the error; it
/// names the setting, the value and the range.
///
/// - `failover`: 1 s to 1 h. All times of the protocol are fractions of it.
/// - `max_records`: at most 10,000, the limit of `GetRecords`.
/// - `calls_per_second`: per shard. The service allows five, for all applications together; other
///   servers allow more.
/// - `idle_ceiling`: at most a minute. A shard iterator expires after five, so a slower reader
///   would open the shard anew with every call.
/// - `drain_limit`: at most 10 s. A requester withdraws a request after 15 s, so the owner has to
///   answer before.
/// - `retry_to`: at least `retry_from`.
pub(super) fn check(settings: &Settings, now: Timestamp) -> Result<(), SettingError> {
    check_position(settings.initial_position, now)?;
    // The value is shown as it was given, so that a mistake of units is seen: `10ms` where 10 s
    // were meant.
    let span = |setting, value: Duration, least: Duration, most: Duration| {
        if (least..=most).contains(&value) {
            return Ok(());
        }
        Err(SettingError {
            setting,
            value: format!("{value:?}"),
            allowed: format!("{least:?} to {most:?}"),
        })
    };
    let number = |setting, value: usize, least: usize, most: usize| {
        if (least..=most).contains(&value) {
            return Ok(());
        }
        Err(SettingError {
            setting,
            value: value.to_string(),
            allowed: format!("{least} to {most}"),
        })
    };
    let (second, hour) = (Duration::from_secs(1), Duration::from_secs(3600));
    let milli = Duration::from_millis(1);
    // With less than a second, the call limit would be too short for a table on a network.
    span("failover", settings.failover, second, hour)?;
    // Upper limits of an hour or a day only keep mistakes out; nothing breaks beyond them.
    if let Some(start_within) = settings.start_within {
        span("start_within", start_within, milli, hour * 24)?;
    }
    // A worker that may hold no lease would only be in the others' way: they count on it for its
    // share.
    number("max_leases", settings.max_leases, 1, usize::MAX)?;
    if let Some(capacity) = settings.capacity
        && Capacity::new(capacity).is_err()
    {
        return Err(SettingError {
            setting: "capacity",
            value: capacity.to_string(),
            allowed: "0.001 to 1,000,000".to_owned(),
        });
    }
    number("max_records", settings.max_records as usize, 1, 10_000)?;
    // A million is as good as no limit, for servers in tests.
    number("calls_per_second", settings.calls_per_second, 1, 1_000_000)?;
    span(
        "idle_ceiling",
        settings.idle_ceiling,
        milli,
        Duration::from_secs(60),
    )?;
    span(
        "call_limit",
        settings.call_limit,
        Duration::from_millis(100),
        hour,
    )?;
    span(
        "read_limit",
        settings.read_limit,
        Duration::from_millis(100),
        hour,
    )?;
    span(
        "refusal_limit",
        settings.refusal_limit,
        Duration::ZERO,
        hour * 24,
    )?;
    // Each of these is a write per lease, so a millisecond is for tests alone.
    span("checkpoint_every", settings.checkpoint_every, milli, hour)?;
    // Below a second a slow disk or a pause of the machine would cost the lease.
    span("handler_budget", settings.handler_budget, second, hour * 24)?;
    span(
        "handler_warning",
        settings.handler_warning,
        milli,
        hour * 24,
    )?;
    span("drain_limit", settings.drain_limit, milli, second * 10)?;
    if let Some(every) = settings.idle_every {
        span("idle_every", every, milli, hour * 24)?;
    }
    number("max_moves", settings.max_moves, 1, usize::MAX)?;
    span("retry_from", settings.retry_from, milli, hour)?;
    // The pause doubles from the one to the other, so the second must not be shorter.
    span("retry_to", settings.retry_to, settings.retry_from, hour)?;
    // An audit is a listing of the stream and a consistent scan of the table.
    span("audit_every", settings.audit_every, second, hour * 24)
}

/// Also used for the position of each [`StreamConfig`](super::StreamConfig).
pub(super) fn check_position(
    position: InitialPosition,
    now: Timestamp,
) -> Result<(), SettingError> {
    if let InitialPosition::AtTimestamp(time) = position
        && time > now
    {
        // The service rejects a time in the future for every shard, until that time has come.
        let allowed = format!("a time that has come (it is {now}), TRIM_HORIZON or LATEST");
        return Err(SettingError {
            setting: "initial_position",
            value: position.to_string(),
            allowed,
        });
    }
    Ok(())
}

/// A worker that uses the lease table of another application would share that application's shards,
/// so each application would read only some of them, and neither would notice. A table that does
/// not know its application, such as the one in memory, is accepted.
pub(super) fn check_application(
    table: &dyn LeaseTable,
    application: &str,
) -> Result<(), SettingError> {
    match table.application() {
        Some(opened) if opened != application => Err(SettingError {
            setting: "lease_table",
            value: format!("a table that was opened for the application `{opened}`"),
            allowed: format!(
                "one that was opened for `{application}`, as the worker's `application` says"
            ),
        }),
        _ => Ok(()),
    }
}

/// What [`named`] accepts, for its error message.
pub(super) const NAME: &str = "a name of 1 to 255 letters, digits, `_`, `.`, `-`, `:` and `/`";

/// Checks the name of an application or a worker. It becomes a value in the rows of the lease table
/// and a label of metrics, so it has to be short, and readable without quotes.
pub(super) fn named(setting: &'static str, name: String) -> Result<String, SettingError> {
    // DynamoDB's limit of a table name is 255, and the application names the table by default.
    let fits = (1..=255).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_.-:/".contains(&b));
    if fits {
        Ok(name)
    } else {
        Err(SettingError {
            setting,
            value: format!("`{name}`"),
            allowed: NAME.to_owned(),
        })
    }
}
