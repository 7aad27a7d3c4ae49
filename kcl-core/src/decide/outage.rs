//! Whether the lease table is unreachable, judged by the results of calls to it.
//!
//! Reads and writes are judged separately: a table that answers reads but throttles every write is
//! of no use.

use std::time::Duration;

use crate::model::Moment;

/// The outages of reads and of writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outages {
    /// `None` while reads are answered.
    reads: Option<Outage>,
    /// `None` while writes are answered.
    writes: Option<Outage>,
}

/// An outage: every call of one kind has failed since the last success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outage {
    /// When the first call failed.
    pub since: Moment,
    /// How many calls have failed.
    pub attempts: u32,
}

/// Whether a call reads or writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableCall {
    /// Reads a row or a page of rows.
    Read,
    /// Writes a row, or creates the table.
    Write,
}

impl Outages {
    /// Notes that a call was answered, whatever the answer was. A conflict is an answer: the table
    /// works.
    pub const fn answered(&mut self, call: TableCall) {
        *self.of(call) = None;
    }

    /// Notes that a call failed at `now`: it was rejected or not answered.
    pub fn failed(&mut self, call: TableCall, now: Moment) {
        let outage = self.of(call).get_or_insert(Outage {
            since: now,
            attempts: 0,
        });
        outage.attempts = outage.attempts.saturating_add(1);
    }

    /// The longer of the current outages, if there is one.
    #[must_use]
    pub fn worst(&self) -> Option<Outage> {
        self.reads
            .into_iter()
            .chain(self.writes)
            .min_by_key(|outage| outage.since)
    }

    /// For how long calls have failed, or zero if they do not.
    #[must_use]
    pub fn lasting(&self, now: Moment) -> Duration {
        self.worst()
            .map_or(Duration::ZERO, |outage| now.since(outage.since))
    }

    /// The outage of this kind of call.
    const fn of(&mut self, call: TableCall) -> &mut Option<Outage> {
        match call {
            TableCall::Read => &mut self.reads,
            TableCall::Write => &mut self.writes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::from_origin(Duration::from_secs(seconds))
    }

    #[test]
    fn an_outage_lasts_until_a_call_of_its_kind_is_answered() {
        let mut outages = Outages::default();
        assert_eq!(
            (outages.worst(), outages.lasting(at(5))),
            (None, Duration::ZERO)
        );
        outages.failed(TableCall::Write, at(10));
        outages.failed(TableCall::Read, at(12));
        outages.failed(TableCall::Write, at(15));
        assert_eq!(
            outages.worst(),
            Some(Outage {
                since: at(10),
                attempts: 2
            })
        );
        outages.answered(TableCall::Read);
        assert_eq!(
            outages.lasting(at(20)),
            Duration::from_secs(10),
            "a read tells nothing of writes"
        );
        outages.answered(TableCall::Write);
        assert_eq!(outages.worst(), None);
    }
}
