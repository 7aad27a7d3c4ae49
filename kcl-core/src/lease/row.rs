use std::time::Duration;

use crate::model::{Capacity, Token, WorkerId};

use super::HeldLag;

/// What shows that the leases of a worker are held, as its row says.
///
/// Each is a promise of the row's writer about how it keeps its leases, and so a rule for everybody
/// who judges them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeepAlive {
    /// The row does not say. A version that knows only renewals wrote it: the worker renews each
    /// lease, and takes a lease whose counter stands still, whatever the row of its owner says.
    #[default]
    Unknown,
    /// The worker renews each of its leases. It knows heartbeats, and judges others by them.
    Renewals,
    /// The heartbeats of this row hold all leases whose tokens begin with its incarnation. Their
    /// counters may stand still for hours. Who wants such a lease first [kills](WorkerRow::killed)
    /// this row.
    Heartbeats,
    /// Another worker has seen the row stand still and declared its process dead: every later
    /// heartbeat of it is refused, and the leases of this incarnation are free.
    Killed,
}

impl KeepAlive {
    /// The word for it in a lease table. `Unknown` has none.
    const fn word(self) -> Option<&'static str> {
        match self {
            Self::Unknown => None,
            Self::Renewals => Some("renewals"),
            Self::Heartbeats => Some("heartbeats"),
            Self::Killed => Some("killed"),
        }
    }
}

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
    /// What shows that its leases are held.
    pub keep_alive: KeepAlive,
    /// How often operators have begun or ended to drain this worker: it is being drained while the
    /// number is odd. `None` in the row of a version that does not know drains.
    ///
    /// The counter does not move with it, because an operator's write shows no life. So this number
    /// tells which of two rows with the same counter is the later one.
    pub drains: Option<u64>,
    /// How far behind its leases are. `None` before its first heartbeat, and in the row of a version
    /// that does not say it.
    ///
    /// It decides nothing, and no write depends on it: see [`without_lag`](Self::without_lag).
    pub lag: Option<HeldLag>,
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
            keep_alive: KeepAlive::Unknown,
            drains: None,
            lag: None,
        }
    }

    /// The row without the lag: what is compared with the row that was seen, as the condition of each
    /// write on it. So a row whose lag is in words of a later version can still be replaced and
    /// deleted.
    #[must_use]
    pub fn without_lag(&self) -> Self {
        Self {
            lag: None,
            ..self.clone()
        }
    }

    /// Whether an operator drains this worker: it is to give its leases to others and take none.
    #[must_use]
    pub const fn is_draining(&self) -> bool {
        matches!(self.drains, Some(drains) if drains % 2 == 1)
    }

    /// The row by which an operator begins to drain this worker, or ends that. `None` if the row says
    /// so already, or if the version of the worker does not know drains.
    #[must_use]
    pub fn with_draining(&self, on: bool) -> Option<Self> {
        let drains = self.drains? + 1;
        (self.is_draining() != on).then(|| Self {
            drains: Some(drains),
            ..self.clone()
        })
    }

    /// [`drains`](Self::drains) as a table stores it: the number, a space and the end of the
    /// incarnation. For the same reason as in [`keep_alive_text`](Self::keep_alive_text).
    #[must_use]
    pub fn drains_text(&self) -> Option<String> {
        let drains = self.drains?;
        Some(self.marked(drains))
    }

    /// Sets [`drains`](Self::drains) from what a table has stored. What is said of another incarnation
    /// is `None`.
    pub fn read_drains(&mut self, text: Option<&str>) {
        self.drains = self.said_of_it(text).and_then(|drains| drains.parse().ok());
    }

    /// [`lag`](Self::lag) as a table stores it: its text, a space and the end of the incarnation. For
    /// the same reason as in [`keep_alive_text`](Self::keep_alive_text).
    #[must_use]
    pub fn lag_text(&self) -> Option<String> {
        let lag = self.lag.as_ref()?;
        Some(self.marked(lag))
    }

    /// Sets [`lag`](Self::lag) from what a table has stored. What is said of another incarnation, or
    /// as a later version says it, is `None`.
    pub fn read_lag(&mut self, text: Option<&str>) {
        self.lag = self.said_of_it(text).and_then(HeldLag::parse);
    }

    /// The end of the incarnation: eight of its 32 random digits tell it from its predecessor, and each
    /// byte of a row is paid for with every scan.
    fn mark(&self) -> &str {
        let text = self.incarnation.as_str();
        let start = text.char_indices().rev().nth(7).map_or(0, |(at, _)| at);
        &text[start..]
    }

    /// What is said of this incarnation, as a table stores it.
    fn marked(&self, said: impl std::fmt::Display) -> String {
        format!("{said} {}", self.mark())
    }

    /// What a stored text says, if it is of this incarnation.
    fn said_of_it<'a>(&self, stored: Option<&'a str>) -> Option<&'a str> {
        let (said, of) = stored?.rsplit_once(' ')?;
        (of == self.mark()).then_some(said)
    }

    /// [`keep_alive`](Self::keep_alive) as a table stores it: a word, a space and the end of the
    /// incarnation.
    /// `None` if there is nothing to store.
    ///
    /// The incarnation is part of it because a version that does not know this attribute leaves it
    /// as it is when it replaces the row: what a former process promised must not be believed of
    /// another one.
    #[must_use]
    pub fn keep_alive_text(&self) -> Option<String> {
        self.keep_alive.word().map(|word| self.marked(word))
    }

    /// Sets [`keep_alive`](Self::keep_alive) from what a table has stored. What is said of another
    /// incarnation, or in words of a later version, is [`KeepAlive::Unknown`].
    pub fn read_keep_alive(&mut self, text: Option<&str>) {
        let said = self.said_of_it(text);
        let known = [
            KeepAlive::Renewals,
            KeepAlive::Heartbeats,
            KeepAlive::Killed,
        ];
        self.keep_alive = known
            .into_iter()
            .find(|known| said.is_some() && said == known.word())
            .unwrap_or_default();
    }

    /// The row by which another worker declares this one dead. It has the leaving mark too, which
    /// versions that know no heartbeats understand.
    #[must_use]
    pub fn killed(&self) -> Self {
        Self {
            keep_alive: KeepAlive::Killed,
            ..self.leaving()
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
    fn what_keeps_leases_alive_is_believed_of_its_own_process_alone() {
        for keep_alive in [
            KeepAlive::Unknown,
            KeepAlive::Renewals,
            KeepAlive::Heartbeats,
            KeepAlive::Killed,
        ] {
            let row = WorkerRow {
                keep_alive,
                ..WorkerRow::new("a".into(), "t".into(), Duration::from_secs(10))
            };
            let stored = row.keep_alive_text();
            let mut read = WorkerRow::new("a".into(), "t".into(), Duration::from_secs(10));
            read.read_keep_alive(stored.as_deref());
            assert_eq!(read, row);
            let mut next_process = WorkerRow {
                incarnation: "u".into(),
                ..read
            };
            next_process.read_keep_alive(stored.as_deref());
            assert_eq!(next_process.keep_alive, KeepAlive::Unknown);
            next_process.read_keep_alive(Some("a word of a later version u"));
            assert_eq!(next_process.keep_alive, KeepAlive::Unknown);
        }
    }

    #[test]
    fn a_drain_is_of_one_process_and_ends_no_heartbeat() {
        let old = WorkerRow::new("a".into(), "t".into(), Duration::from_secs(10));
        assert_eq!(old.with_draining(true), None, "its version knows no drains");
        let row = WorkerRow {
            drains: Some(0),
            ..old
        };
        assert_eq!(row.with_draining(false), None);
        let drained = row.with_draining(true).expect("a drain");
        assert!(drained.is_draining() && drained.next().is_draining());
        assert_eq!(drained.counter, row.counter);
        let mut read = WorkerRow::new("a".into(), "t".into(), Duration::from_secs(10));
        read.read_drains(drained.drains_text().as_deref());
        assert_eq!(read, drained);
        let mut next_process = WorkerRow {
            incarnation: "u".into(),
            ..read
        };
        next_process.read_drains(drained.drains_text().as_deref());
        assert!(!next_process.is_draining());
        let ended = drained.with_draining(false).expect("the end of it");
        assert_eq!((ended.is_draining(), ended.drains), (false, Some(2)));
    }

    #[test]
    fn a_lag_is_of_one_process_and_no_part_of_what_was_seen() {
        let row = WorkerRow::new("a".into(), "t".into(), Duration::from_secs(10));
        let late = WorkerRow {
            lag: HeldLag::parse("2 0 60000f60 shardId-0"),
            ..row.clone()
        };
        assert!(late.lag.is_some() && late != row);
        assert_eq!(late.without_lag(), row);
        assert_ne!(late.next().without_lag(), row);
        let mut read = row.clone();
        read.read_lag(late.lag_text().as_deref());
        assert_eq!(read, late);
        read.read_lag(Some("2 0 60000%60 shardId-0 t"));
        assert_eq!(read.lag, None, "a later version says it otherwise");
        let mut next_process = WorkerRow {
            incarnation: "u".into(),
            ..row
        };
        next_process.read_lag(late.lag_text().as_deref());
        assert_eq!(next_process.lag, None);
    }

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
