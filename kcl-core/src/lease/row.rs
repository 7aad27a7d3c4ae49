use std::time::Duration;

use crate::model::{Token, WorkerId};

/// The row of a worker: it lets the fleet see one that holds no lease yet, and one that is about to
/// leave.
///
/// A worker is alive while its counter keeps increasing; wall clocks are never compared.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerRow {
    /// Who.
    pub worker: WorkerId,
    /// The process behind the name: a restart has another one.
    pub incarnation: Token,
    /// Grows with every heartbeat.
    pub counter: u64,
    /// The failover time that this worker works with: others judge it by the longer of theirs and
    /// this.
    pub failover: Duration,
    /// It is stopping and takes nothing more.
    pub leaving: bool,
    /// How often it has compared the shards of the stream with the leases: one does it for all.
    pub audits: u64,
}

impl WorkerRow {
    /// The first row of a process.
    #[must_use]
    pub const fn new(worker: WorkerId, incarnation: Token, failover: Duration) -> Self {
        Self {
            worker,
            incarnation,
            counter: 1,
            failover,
            leaving: false,
            audits: 0,
        }
    }

    /// The next heartbeat.
    #[must_use]
    pub fn next(&self) -> Self {
        Self {
            counter: self.counter + 1,
            ..self.clone()
        }
    }

    /// The same row with the mark of one who leaves.
    #[must_use]
    pub fn leaving(&self) -> Self {
        Self {
            leaving: true,
            ..self.next()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_heartbeat_counts_one_more_and_the_last_has_the_mark() {
        let row = WorkerRow {
            counter: 6,
            ..WorkerRow::new("a".into(), "t".into(), Duration::from_secs(10))
        };
        assert_eq!(
            row.next(),
            WorkerRow {
                counter: 7,
                ..row.clone()
            }
        );
        assert_eq!(
            row.leaving(),
            WorkerRow {
                counter: 7,
                leaving: true,
                ..row
            }
        );
    }
}
