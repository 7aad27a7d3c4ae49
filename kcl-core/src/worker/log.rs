//! What an operator sees of a worker without reading its events: log lines, and a count of each
//! kind of event.
//!
//! | level | what |
//! |---|---|
//! | error | the worker ends with an error |
//! | warn | something failed, was lost or skipped, or takes long |
//! | info | the worker starts and stops; leases are acquired and given up; setup |
//! | debug | every event |
//!
//! A failure is logged when it begins and then at growing intervals ([`crate::decide::log`]). Only
//! a few lines of one kind are written at once, and the others are summed up. While all is well,
//! nothing is logged.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use crate::decide::log::{Burst, Repeats};
use crate::model::Moment;
use crate::processor::{LossReason, OnFailure};
use crate::runtime::Clock;

use super::event::{Event, HandlerCall};
use super::settings::Settings;

/// How an event is logged. Every kind of event has to choose. The reason for the limits: a fleet
/// whose table is down has thousands of failing calls in a minute, and a log that repeats all of
/// them hides the cause.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Voice {
    /// At debug level only, for debugging.
    Quiet,
    /// At info level, a few of a kind at once: something expected.
    Info,
    /// At warn level, a few of a kind at once: each is worth a warning.
    Warning,
    /// A failure that may last: a warning when it begins, and then at growing intervals for the
    /// same thing.
    Failure {
        /// What has failed: a shard, a lease or a step. The same thing failing again is the same
        /// series. Two shards are two series, so one that fails for hours does not silence the
        /// first failure of another.
        of: String,
    },
}

impl Event {
    /// The name of this kind of event in metrics. It is also the field `event` of log lines. A name
    /// is part of the public interface: dashboards and filters contain it.
    pub(super) const fn kind(&self) -> &'static str {
        // Without an arm for the rest: a new event has to be given a name.
        match self {
            Self::Started => "started",
            Self::LeaseAcquired { .. } => "lease_acquired",
            Self::ShardStarted { .. } => "shard_started",
            Self::CaughtUp { .. } => "caught_up",
            Self::ShardEnded { .. } => "shard_ended",
            Self::LeaseReleased { .. } => "lease_released",
            Self::LeaseHandedOver { .. } => "lease_handed_over",
            Self::LeaseLost { .. } => "lease_lost",
            Self::HandlerFailed { .. } => "handler_failed",
            Self::HandlerRecovered { .. } => "handler_recovered",
            Self::HandlerSlow { .. } => "handler_slow",
            Self::ChildWaits { .. } => "child_waits",
            Self::RecordSkipped { .. } => "record_skipped",
            Self::DeadLettered { .. } => "dead_lettered",
            Self::DeadLetterRefused { .. } => "dead_letter_refused",
            Self::DataGap { .. } => "data_gap",
            Self::EndRefused { .. } => "end_refused",
            Self::ShardUnreadable { .. } => "shard_unreadable",
            Self::RowMalformed { .. } => "row_malformed",
            Self::Refused { .. } => "refused",
            Self::ReadingFails { .. } => "reading_fails",
            Self::ReadingGoesOn { .. } => "reading_goes_on",
            Self::PolledInstead { .. } => "polled_instead",
            Self::LeasesLeftUnread { .. } => "leases_left_unread",
            Self::StreamReplaced { .. } => "stream_replaced",
            Self::HashKeysUnread { .. } => "hash_keys_unread",
            Self::StepFailed { .. } => "step_failed",
            Self::LeasesLedByOthers { .. } => "leases_led_by_others",
            Self::ShardPaused { .. } => "shard_paused",
            Self::DrainBegun { .. } => "drain_begun",
            Self::DrainEnded => "drain_ended",
            Self::Stopping => "stopping",
            Self::Missed(_) => "missed",
        }
    }

    /// A lease that was released is expected; one that was lost otherwise is a failure, of which
    /// the series is the lease: one that goes from worker to worker shows as a repetition.
    pub(super) fn voice(&self) -> Voice {
        match self {
            // With `LeaseAcquired` the first two would make three lines of each acquisition. What a
            // listener missed, the log has not: it hears every event itself.
            Self::ShardStarted { .. } | Self::CaughtUp { .. } | Self::Missed(_) => Voice::Quiet,
            Self::Started
            | Self::LeaseAcquired { .. }
            | Self::LeaseReleased { .. }
            | Self::LeaseHandedOver { .. }
            | Self::ShardEnded { .. }
            | Self::HandlerRecovered { .. }
            | Self::LeaseLost {
                reason: LossReason::Released,
                ..
            }
            | Self::DrainEnded
            | Self::Stopping => Voice::Info,
            // Each of these is about something else, or happens once; what lasts is a failure,
            // below.
            Self::DataGap { .. }
            | Self::ChildWaits { .. }
            | Self::EndRefused { .. }
            | Self::PolledInstead { .. }
            | Self::StreamReplaced { .. }
            | Self::ReadingGoesOn { .. }
            | Self::HashKeysUnread { .. }
            | Self::ShardPaused { .. }
            | Self::DrainBegun { .. }
            | Self::LeasesLedByOthers { .. } => Voice::Warning,
            Self::LeaseLost { lease, .. } => Voice::Failure {
                of: lease.to_string(),
            },
            Self::HandlerFailed { shard, call, .. } => Voice::Failure {
                of: format!("{shard} {call}"),
            },
            // By call as well: a policy that denies two calls has to be mended in two places.
            Self::Refused { of, call, .. } => Voice::Failure {
                of: format!("{of} {call}"),
            },
            Self::HandlerSlow { shard, .. }
            | Self::ReadingFails { shard, .. }
            | Self::RecordSkipped { shard, .. }
            | Self::DeadLettered { shard, .. }
            | Self::DeadLetterRefused { shard, .. }
            | Self::ShardUnreadable { shard, .. } => Voice::Failure {
                of: shard.to_string(),
            },
            Self::RowMalformed { row } => Voice::Failure {
                of: row.to_string(),
            },
            // A changed number is logged again.
            Self::LeasesLeftUnread { leases } => Voice::Failure {
                of: leases.len().to_string(),
            },
            Self::StepFailed { what, stream, .. } => Voice::Failure {
                of: stream
                    .as_ref()
                    .map_or_else(|| (*what).to_owned(), |stream| format!("{what} {stream}")),
            },
        }
    }

    /// What happens next, if the event does not make that clear. The reader of a log at night wants
    /// to know whether to act: whether it is retried, skipped or the end of the worker. The answer
    /// depends on the settings, so it is not part of the event.
    fn what_follows(&self, settings: &Settings) -> Option<String> {
        match self {
            Self::HandlerFailed {
                call: HandlerCall::ProcessRecords,
                attempt,
                at,
                ..
            } => Some(match (settings.on_failure, at) {
                (OnFailure::Stop, _) => "the worker stops".to_owned(),
                (OnFailure::Skip, Some(_)) => "the record is skipped".to_owned(),
                (OnFailure::Skip | OnFailure::Retry, _) => tried_again(*attempt, settings),
            }),
            // How often and how long after is known to the handler alone.
            Self::HandlerFailed {
                call: HandlerCall::Handler,
                ..
            } => Some(
                "it is retried or given up, as its `Retries` say, or else the worker's `on_failure`"
                    .to_owned(),
            ),
            // Without these two a shard can neither begin nor end, whatever the policy says of
            // records.
            Self::HandlerFailed {
                call: HandlerCall::Initialize | HandlerCall::ShardEnded,
                attempt,
                ..
            } => Some(tried_again(*attempt, settings)),
            // `shutdown_requested` and the like: the lease is given up all the same.
            Self::HandlerFailed { .. } => Some("it is not called again".to_owned()),
            Self::DeadLetterRefused { .. } => Some(
                "the record is tried again, and then its dead letter; no checkpoint passes it"
                    .to_owned(),
            ),
            Self::HandlerSlow { .. } => Some(format!(
                "its lease is released if the call takes longer than {:?}",
                settings.handler_budget
            )),
            Self::ChildWaits { .. } => Some(
                "see what is said of the parent, here or by the worker that holds its lease"
                    .to_owned(),
            ),
            Self::EndRefused { .. } => Some(
                "reading continues where it was; the listing may lag behind the stream, or the \
                 server does not behave like Kinesis"
                    .to_owned(),
            ),
            Self::ShardUnreadable { .. } => Some(
                "its lease is released for other workers, and this worker tries the shard \
                    again later"
                    .to_owned(),
            ),
            Self::RowMalformed { row } => Some(match row.lease() {
                Some(_) => "nobody reads its shard until the row is repaired; other shards are \
                    not affected"
                    .to_owned(),
                None => "it is ignored until it is repaired; leases are not affected".to_owned(),
            }),
            Self::LeaseLost {
                reason: LossReason::NoProgress,
                ..
            } => Some(
                "its records are delivered again from the stored checkpoint, here or on \
                    another worker"
                    .to_owned(),
            ),
            Self::LeaseLost {
                reason: LossReason::CheckpointEdited,
                ..
            } => Some(
                "the shard is acquired again and resumes from the edited checkpoint".to_owned(),
            ),
            Self::LeaseLost {
                reason: LossReason::Lost(_),
                ..
            } => Some("whoever acquires it next resumes from the stored checkpoint".to_owned()),
            Self::Refused { limit, .. } => Some(format!(
                "retrying; if it is still refused after {limit:?}, the worker ends, or continues \
                 without this stream if it reads others"
            )),
            Self::ReadingFails { .. } => Some(
                "retrying; if this lasts and the service is not merely throttling, the shard \
                    is left to another worker"
                    .to_owned(),
            ),
            Self::LeasesLeftUnread { .. } => Some(format!(
                "start another worker, or raise the `max_leases` of this one, which \
                    is {}",
                settings.max_leases
            )),
            Self::StepFailed { .. } => Some("retrying".to_owned()),
            Self::ShardPaused { .. } => Some(
                "its lease is released, and nobody takes it before the shard is resumed".to_owned(),
            ),
            Self::DrainBegun { .. } => Some(
                "it takes no leases before the operator ends that or no other worker is left"
                    .to_owned(),
            ),
            Self::LeasesLedByOthers { .. } => Some(
                "this worker keeps its leases and acquires no \
                more"
                    .to_owned(),
            ),
            Self::PolledInstead { .. } => Some(
                "it is polled instead for as long as this worker \
                runs"
                    .to_owned(),
            ),
            Self::HashKeysUnread { .. } => Some(
                "this is not repaired automatically: give these keys a lease, or delete the \
                    stream's leases"
                    .to_owned(),
            ),
            Self::DataGap { .. } => Some(match settings.on_data_gap {
                super::settings::OnDataGap::Continue => {
                    "reading continues after the gap".to_owned()
                }
                super::settings::OnDataGap::Fail => "the worker stops".to_owned(),
            }),
            _ => None,
        }
    }
}

/// When the next attempt comes. The pause is shown without its jitter, as the longest that it can
/// be.
fn tried_again(attempt: u32, settings: &Settings) -> String {
    let longest = settings.retry_to;
    match settings.retry().longest(attempt.saturating_sub(1)) {
        pause if pause < longest => {
            format!("retrying in {pause:?}, then at growing intervals of up to {longest:?}")
        }
        _ => format!("retrying within {longest:?}"),
    }
}

/// The log target of a worker's lines: a stable name for filters. It does not follow the module in
/// which a line happens to be written.
pub(super) const TARGET: &str = "kcl_core::worker";

/// The lines that were logged recently. It uses the worker's clock, so a simulated worker logs at
/// simulated intervals.
#[derive(Debug)]
pub(super) struct WorkerLog {
    /// For the distances between lines.
    clock: Arc<dyn Clock>,
    /// In each line: the logs of a fleet are read together.
    worker: String,
    /// A line says what follows, which depends on them.
    settings: Settings,
    /// What was logged, for a short time locked. It is never held while a line is written.
    said: Mutex<RecentLines>,
}

#[derive(Debug, Default)]
struct RecentLines {
    /// By kind and by what failed. It grows with the number of shards that fail, up to
    /// [`REMEMBERED`]; then series that are over are removed.
    failures: BTreeMap<(&'static str, String), Repeats>,
    /// By text, and whether it is a warning.
    bursts: BTreeMap<(&'static str, bool), Burst>,
}

/// How many failures are remembered before those that are over are removed: usually more than a
/// worker has leases.
const REMEMBERED: usize = 4096;

impl WorkerLog {
    pub(super) fn new(clock: Arc<dyn Clock>, worker: String, settings: Settings) -> Self {
        Self {
            clock,
            worker,
            settings,
            said: Mutex::default(),
        }
    }

    /// Logs an event, if it is due.
    ///
    /// At debug level every event is written, whatever is due.
    pub(super) fn hear(&self, event: &Event) {
        tracing::debug!(target: TARGET, worker = %self.worker, ?event);
        self.log(event, Repeats::happened);
    }

    /// Logs an event again, if it is due: it has not happened again, but still holds.
    pub(super) fn still_holds(&self, event: &Event) {
        self.log(event, Repeats::holds);
    }

    /// Writes the line: the event's sentence, what follows, and how often it was suppressed.
    fn log(&self, event: &Event, turn: impl Fn(&mut Repeats, Moment) -> Option<u64>) {
        let voice = event.voice();
        if voice == Voice::Quiet {
            return;
        }
        // Before the sentence is made: most failures of a table that is down end here.
        let Some(times) = self.has_turn(event.kind(), &voice, turn) else {
            return;
        };
        let mut line = event.to_string();
        if let Some(follows) = event.what_follows(&self.settings) {
            let _ = write!(line, "; {follows}");
        }
        if times > 0 {
            let _ = write!(line, " (repeated {times} times since the last line)");
        }
        let (worker, kind) = (&self.worker, event.kind());
        if voice == Voice::Info {
            tracing::info!(target: TARGET, worker, event = kind, "{line}");
        } else {
            tracing::warn!(target: TARGET, worker, event = kind, "{line}");
        }
    }

    /// `None` if no line is due; otherwise, how many were suppressed since the last one.
    ///
    /// Two limits, one behind the other: the series of what failed, and then the burst of its kind.
    /// A line that only the burst withholds has had its turn in the series all the same. It is
    /// counted by [`sum_up`](Self::sum_up), and the next one of the series comes at the usual
    /// distance.
    fn has_turn(
        &self,
        kind: &'static str,
        voice: &Voice,
        turn: impl Fn(&mut Repeats, Moment) -> Option<u64>,
    ) -> Option<u64> {
        let now = self.clock.now();
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let times = match voice {
            Voice::Failure { of } => {
                // All of them are walked through, but only at this number, and not for each failure
                // below it.
                if said.failures.len() >= REMEMBERED {
                    said.failures.retain(|_, repeats| !repeats.is_over(now));
                }
                turn(said.failures.entry((kind, of.clone())).or_default(), now)?
            }
            Voice::Quiet | Voice::Info | Voice::Warning => 0,
        };
        said.bursts
            .entry((kind, *voice != Voice::Info))
            .or_default()
            .may_say(now)
            .then_some(times)
    }

    /// Logs how many lines of each kind were suppressed. `is_last` says that no more lines will
    /// follow. The reporter calls it every few seconds. The lock is released before anything is
    /// written, because a subscriber may be slow.
    pub(super) fn sum_up(&self, is_last: bool) {
        let now: Moment = self.clock.now();
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let sums: Vec<_> = said
            .bursts
            .iter_mut()
            .filter_map(|(kind, burst)| Some((*kind, burst.sum_up(now, is_last)?)))
            .collect();
        drop(said);
        for ((kind, is_warning), times) in sums {
            let (worker, words) = (&self.worker, kind.replace('_', " "));
            if is_warning {
                tracing::warn!(target: TARGET, worker, event = kind, "{words}: {times} more, not \
                    logged one by one");
            } else {
                tracing::info!(target: TARGET, worker, event = kind, "{words}: {times} more, not \
                    logged one by one");
            }
        }
    }
}
