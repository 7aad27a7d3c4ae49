use std::time::Duration;

use crate::model::{Capacity, Token, WorkerId};

/// The row of a worker. It shows the fleet a worker that holds no lease yet, and one that is about
/// to leave.
///
/// A worker is alive while its counter keeps increasing; wall clocks are never compared.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerRow {
    /// The worker's name.
    pub worker: WorkerId,
    /// Identifies the process behind the name: a fresh random text at each start.
    pub incarnation: Token,
    /// Grows by one with every heartbeat.
    pub counter: u64,
    /// The failover time that this worker is configured with. Other workers judge it by the longer
    /// of their own and this one.
    pub failover: Duration,
    /// Whether it is stopping and takes no more leases.
    pub leaving: bool,
    /// How many audits it has made. An audit compares the stream's shards with the leases; one
    /// worker does it for the whole fleet.
    pub audits: u64,
    /// How much it can carry. `None` if it does not declare that: it balances leases by their
    /// number, as all versions before did, and then the whole fleet does.
    pub capacity: Option<Capacity>,
}

impl WorkerRow {
    /// The first row that a process writes: its counter is 1.
    #[must_use]
    pub const fn new(worker: WorkerId, incarnation: Token, failover: Duration) -> Self {
        Self {
            worker,
            incarnation,
            counter: 1,
            failover,
            leaving: false,
            audits: 0,
            capacity: None,
        }
    }

    /// The row that is written with the next heartbeat.
    #[must_use]
    pub fn next(&self) -> Self {
        Self {
            counter: self.counter + 1,
            ..self.clone()
        }
    }

    /// The next heartbeat, with the leaving mark set.
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
