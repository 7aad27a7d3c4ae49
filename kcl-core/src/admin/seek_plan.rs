//! What a seek would do: a judgement of what was read. No clock is read here.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::{Checkpoint, InitialPosition, Lease, LeaseKey, Timestamp};

use super::LeaseLag;

/// What a seek does to one lease.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct SeekStep {
    /// The lease.
    pub lease: LeaseKey,
    /// Where its shard is read on without the seek.
    #[cfg_attr(feature = "serde", serde(serialize_with = "super::serialize::text"))]
    pub from: Checkpoint,
    /// What becomes of the records.
    pub effect: SeekEffect,
}

/// What becomes of the records of a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize),
    serde(tag = "effect", rename_all = "snake_case")
)]
pub enum SeekEffect {
    /// Nothing changes.
    None,
    /// The records of this time before the present position are read again.
    ReadAgain {
        /// From the first record that is read again to the present position, as far as that is
        /// known: at most the retention period.
        #[cfg_attr(
            feature = "serde",
            serde(
                rename = "span_seconds",
                serialize_with = "super::serialize::maybe_seconds"
            )
        )]
        span: Option<Duration>,
    },
    /// The records of this time after the present position are never read.
    Skipped {
        /// From the present position to the first record that is read.
        #[cfg_attr(
            feature = "serde",
            serde(
                rename = "span_seconds",
                serialize_with = "super::serialize::maybe_seconds"
            )
        )]
        span: Option<Duration>,
    },
    /// The stream could not be asked where the lease is: records may be skipped.
    Unknown,
}

impl SeekEffect {
    /// Whether records may be skipped.
    #[must_use]
    pub const fn may_skip(self) -> bool {
        matches!(self, Self::Skipped { .. } | Self::Unknown)
    }
}

/// What it would do to set these unfinished leases to `to`, given how far behind each is at the
/// stream's time `now`. Finished leases are left out: their records are read again by an application
/// of another name.
#[must_use]
pub fn plan_seek(
    leases: &[Lease],
    lags: &[LeaseLag],
    to: InitialPosition,
    now: Timestamp,
) -> Vec<SeekStep> {
    let lags: BTreeMap<&LeaseKey, &LeaseLag> = lags.iter().map(|lag| (&lag.lease, lag)).collect();
    leases
        .iter()
        .filter(|lease| !lease.checkpoint.is_shard_end())
        .map(|lease| SeekStep {
            lease: lease.key.clone(),
            from: lease.checkpoint.clone(),
            effect: effect(lease, lags.get(&lease.key).copied(), to, now),
        })
        .collect()
}

fn effect(
    lease: &Lease,
    lag: Option<&LeaseLag>,
    to: InitialPosition,
    now: Timestamp,
) -> SeekEffect {
    let behind = lag.and_then(|lag| lag.behind);
    // What is at the tip has its position now, whenever its last record came.
    let position = match behind {
        Some(Duration::ZERO) => Some(now),
        _ => lag
            .and_then(|lag| lag.position_at)
            .or_else(|| behind.map(|behind| earlier(now, behind))),
    };
    match to {
        InitialPosition::TrimHorizon if lease.checkpoint == Checkpoint::TrimHorizon => {
            SeekEffect::None
        }
        InitialPosition::TrimHorizon => {
            let kept_since = lag.and_then(|lag| Some(earlier(now, lag.retention?)));
            // A stream that is younger than its retention has no older records than itself.
            let oldest = kept_since.max(lease.facts.stream_created_at.filter(|_| lag.is_some()));
            SeekEffect::ReadAgain {
                span: span(oldest, position),
            }
        }
        InitialPosition::Latest => moved(position, now),
        InitialPosition::AtTimestamp(at) => moved(position, at),
    }
}

/// What a move to this time does. Times that fall together may differ by a record of the same
/// millisecond, which is read again.
fn moved(position: Option<Timestamp>, to: Timestamp) -> SeekEffect {
    match position {
        None => SeekEffect::Unknown,
        Some(from) if from == to => SeekEffect::None,
        Some(from) if from > to => SeekEffect::ReadAgain {
            span: span(Some(to), Some(from)),
        },
        Some(from) => SeekEffect::Skipped {
            span: span(Some(from), Some(to)),
        },
    }
}

/// The time from one to the other, if both are known; zero if they are in the other order.
fn span(from: Option<Timestamp>, to: Option<Timestamp>) -> Option<Duration> {
    let millis = to?.as_millis().saturating_sub(from?.as_millis());
    Some(Duration::from_millis(u64::try_from(millis).unwrap_or(0)))
}

/// A time so much earlier.
fn earlier(at: Timestamp, by: Duration) -> Timestamp {
    let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millis(at.as_millis().saturating_sub(by))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Position, SequenceNumber};

    const NOW: Timestamp = Timestamp::from_millis(100_000);

    fn lag(behind: Option<u64>, position_at: Option<i64>) -> LeaseLag {
        LeaseLag {
            lease: LeaseKey::single("s"),
            behind: behind.map(Duration::from_secs),
            at_most: false,
            seen_ago: None,
            position_at: position_at.map(Timestamp::from_millis),
            retention_left: None,
            retention: Some(Duration::from_secs(60)),
            gap: None,
            error: None,
        }
    }

    fn told(lag: LeaseLag, to: InitialPosition) -> SeekEffect {
        let at = Position::new(SequenceNumber::from_u128(7), 0);
        let lease = Lease::new(LeaseKey::single("s"), at.into());
        plan_seek(&[lease], &[lag], to, NOW)[0].effect
    }

    fn seconds(span: u64) -> Option<Duration> {
        Some(Duration::from_secs(span))
    }

    #[test]
    fn the_trim_horizon_reads_again_what_is_retained() {
        let again = told(lag(Some(10), Some(90_000)), InitialPosition::TrimHorizon);
        assert_eq!(again, SeekEffect::ReadAgain { span: seconds(50) });
        let unknown = told(lag(None, None), InitialPosition::TrimHorizon);
        assert_eq!(unknown, SeekEffect::ReadAgain { span: None });
        let never_read = Lease::new(LeaseKey::single("s"), Checkpoint::TrimHorizon);
        let steps = plan_seek(&[never_read], &[], InitialPosition::TrimHorizon, NOW);
        assert_eq!(steps[0].effect, SeekEffect::None);
    }

    #[test]
    fn the_tip_skips_what_is_behind_it() {
        let skipped = told(lag(Some(10), Some(90_000)), InitialPosition::Latest);
        assert_eq!(skipped, SeekEffect::Skipped { span: seconds(10) });
        let at_the_tip = told(lag(Some(0), Some(20_000)), InitialPosition::Latest);
        assert_eq!(at_the_tip, SeekEffect::None);
    }

    #[test]
    fn a_time_reads_again_or_skips_by_where_the_lease_is() {
        let to = |at| InitialPosition::AtTimestamp(Timestamp::from_millis(at));
        let behind = || lag(Some(10), Some(90_000));
        assert_eq!(
            told(behind(), to(70_000)),
            SeekEffect::ReadAgain { span: seconds(20) }
        );
        assert_eq!(
            told(behind(), to(95_000)),
            SeekEffect::Skipped { span: seconds(5) }
        );
        assert_eq!(
            told(lag(Some(0), Some(20_000)), to(160_000)),
            SeekEffect::Skipped { span: seconds(60) },
            "what is still to come"
        );
    }

    /// A skip that is not known to be none has to be allowed like one.
    #[test]
    fn what_could_not_be_asked_may_skip() {
        let at = InitialPosition::AtTimestamp(Timestamp::from_millis(1));
        for to in [InitialPosition::Latest, at] {
            let effect = told(lag(None, None), to);
            assert_eq!(effect, SeekEffect::Unknown);
            assert!(effect.may_skip());
        }
    }

    #[test]
    fn a_finished_lease_is_left_out() {
        let ended = Lease::new(LeaseKey::single("s"), Checkpoint::ShardEnd);
        assert!(plan_seek(&[ended], &[], InitialPosition::Latest, NOW).is_empty());
    }

    #[test]
    fn a_young_stream_has_nothing_older_than_itself() {
        let at = Position::new(SequenceNumber::from_u128(7), 0);
        let mut lease = Lease::new(LeaseKey::single("s"), at.into());
        let again = |lease: &Lease| {
            let (lease, lag) = (lease.clone(), lag(Some(5), None));
            plan_seek(&[lease], &[lag], InitialPosition::TrimHorizon, NOW)[0].effect
        };
        assert_eq!(again(&lease), SeekEffect::ReadAgain { span: seconds(55) });
        lease.facts.stream_created_at = Some(Timestamp::from_millis(80_000));
        assert_eq!(again(&lease), SeekEffect::ReadAgain { span: seconds(15) });
    }
}
