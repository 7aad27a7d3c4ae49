//! The notations of the text cases of the fleet; each is described at the top of its file of cases.

use std::time::Duration;

use crate::decide::cases::setting;
use crate::decide::expiry::Timing;
use crate::decide::members::notation::{lease, seconds};
use crate::lease::{ForeignWorkers, KeepAlive, ScanPage, WorkerRow};
use crate::model::{Lease, LeaseKey, Moment, WorkerId};

use super::{HandedOver, LeaseEntries, LeaseWork, OwnTokens, Scan};

/// The row of the worker `ME`, from a process, a counter, and perhaps `leaving` and `F=30`.
pub(super) fn worker_row(words: &[&str]) -> WorkerRow {
    let [process, counter, rest @ ..] = words else {
        panic!("a process and a counter, not {words:?}");
    };
    let mut row = WorkerRow::new("ME".into(), (*process).into(), Duration::from_secs(10));
    row.drains = Some(0);
    row.counter = counter.parse().expect("a counter");
    for word in rest {
        match setting(word) {
            ("F", failover) => row.failover = seconds(failover).since_origin(),
            ("leaving", _) => row.leaving = true,
            ("heartbeats", _) => row.keep_alive = KeepAlive::Heartbeats,
            ("renewals", _) => row.keep_alive = KeepAlive::Renewals,
            ("draining", _) => row.drains = Some(1),
            ("killed", _) => row = row.killed(),
            other => panic!("what is {other:?} of a row?"),
        }
    }
    row
}

/// What the table shows in a case.
#[derive(Debug, Default)]
pub(super) struct ShownTable {
    leases: Vec<Lease>,
    pub(super) workers: Vec<WorkerRow>,
    foreign: ForeignWorkers,
}

impl ShownTable {
    /// Takes a line of a case that changes what the table shows. Whether it is one.
    pub(super) fn takes(&mut self, words: &[&str]) -> bool {
        match *words {
            ["worker", id, ref row @ ..] => {
                self.workers.retain(|row| row.worker.as_str() != id);
                self.workers.push(WorkerRow {
                    worker: id.into(),
                    ..worker_row(row)
                });
            }
            ["no", "worker", id] => self.workers.retain(|row| row.worker.as_str() != id),
            ["lease", key, ref row @ ..] => {
                let key = LeaseKey::single(key);
                self.leases.retain(|row| row.key != key);
                self.leases.push(lease(key, row));
            }
            ["a", "KCL", "may", "start"] => self.foreign.may_join = true,
            ["a", "KCL", "may", "share"] => self.foreign.may_share = true,
            ["a", "KCL", "leads"] => self.foreign.leading = Some("a leader".to_owned()),
            [id, "answers"] => self.foreign.answering.push(id.into()),
            ["no", "KCL"] => self.foreign = ForeignWorkers::default(),
            _ => return false,
        }
        true
    }

    /// All of it, read at this moment.
    pub(super) fn scan(&self, at: Moment) -> Scan {
        let page = ScanPage {
            leases: self.leases.clone(),
            workers: self.workers.clone(),
            foreign: self.foreign.clone(),
            ..ScanPage::default()
        };
        Scan::new(page, at, at)
    }
}

/// Every tenancy is this process's.
#[derive(Debug)]
pub(super) struct Mine;

impl OwnTokens for Mine {
    fn is_ours(&self, _: &Lease) -> bool {
        true
    }

    fn is_abandoned(&self, _: &Lease) -> bool {
        false
    }
}

/// One lease, as the worker `ME` knows it.
#[derive(Debug)]
pub(super) struct LeaseCase {
    me: WorkerId,
    key: LeaseKey,
    leases: LeaseEntries,
    timing: Timing,
}

/// How long a row that is gone is remembered in the cases.
const PATIENCE: Duration = Duration::from_secs(7);
/// How long what is tried in vain takes until that shows.
const TRIES: Duration = Duration::from_secs(30);

impl LeaseCase {
    pub(super) fn tell(given: &[&str]) -> String {
        let mut case = Self {
            me: "ME".into(),
            key: LeaseKey::single("1"),
            leases: LeaseEntries::default(),
            timing: Timing::for_failover(Duration::from_secs(10)),
        };
        let mut answers = Vec::new();
        for line in given {
            let words: Vec<&str> = line.trim_end_matches('?').split_whitespace().collect();
            if line.ends_with('?') {
                answers.push(case.answer(&words));
            } else {
                case.happens(&words);
            }
        }
        answers.join("\n")
    }

    fn row(&self, words: &[&str]) -> Option<Lease> {
        (words != ["gone"]).then(|| lease(self.key.clone(), words))
    }

    fn happens(&mut self, words: &[&str]) {
        let key = self.key.clone();
        let leases = &mut self.leases;
        match *words {
            ["fails", "at", when] => leases.cool_down(&key, seconds(when), TRIES),
            ["goes", "well"] => leases.forgive(&key),
            ["is", "refused", "at", when] => leases.refuse(&key, seconds(when)),
            ["is", "taken"] => leases.take(&key),
            ["is", "held"] => leases.hold(&key, true),
            ["is", "held", "without", "a", "consumer"] => leases.hold(&key, false),
            ["the", "take", "ends"] => drop(leases.take_ended(&key)),
            ["the", "writer", "ends"] => drop(leases.writer_ended(&key)),
            ["the", "consumer", "ends"] => drop(leases.consumer_ended(&key)),
            ["is", "read", "to", "the", "bound"] => leases.finish_reading(&key),
            ["the", "stream", "is", "out", "of", "reach"] => drop(leases.lose_reach(&key)),
            ["the", "stream", "answers"] => leases.reached(&key),
            ["request", "to", of, "at", when] => leases.request(&key, of.into(), seconds(when)),
            ["the", "request", "is", "stored", "at", when] => {
                leases.request_answered(&key, true, seconds(when));
            }
            ["the", "request", "fails", "at", when] => {
                leases.request_answered(&key, false, seconds(when));
            }
            ["is", "handed", "over", "with", counter, "at", when] => {
                let handed_over = HandedOver {
                    counter: counter.parse().expect("a counter"),
                    at: seconds(when),
                };
                leases.hand_over(&key, handed_over);
            }
            ["read", "at", when, ref row @ ..] => match self.row(row) {
                Some(row) => self.leases.see(row, seconds(when)),
                None => self.leases.forget(&key, seconds(when)),
            },
            ["scan", "at", begun, ref row @ ..] => {
                let rows = self.row(row).into_iter().collect();
                let at = (seconds(begun), seconds(begun));
                self.leases
                    .scan(rows, at, &self.me, self.timing.look, PATIENCE);
            }
            ["settle", "at", when, "slack", slack] => {
                leases.settle_moves(&self.me, seconds(when), seconds(slack).since_origin());
            }
            _ => panic!("what is `{words:?}`?"),
        }
    }

    fn answer(&mut self, words: &[&str]) -> String {
        let yes = |is| if is { "yes" } else { "no" }.to_owned();
        if words == ["to", "be", "drained", "from", "now", "on"] {
            return yes(!self.leases.newly_paused(&self.me).is_empty());
        }
        let entry = self.leases.get(&self.key);
        match *words {
            ["left", "alone", "at", when] => yes(entry
                .is_some_and(|entry| entry.is_busy(seconds(when)))
                || self.leases.is_out_of_reach(&self.key)),
            ["refused", "at", when] => yes(self.leases.is_refused(&self.key, seconds(when))),
            ["requested"] => entry
                .and_then(|entry| entry.request())
                .map_or_else(|| "no".to_owned(), |request| format!("of {}", request.of)),
            ["handed", "over"] => yes(entry.is_some_and(|entry| entry.handed_over.is_some())),
            ["work"] => match self.leases.work(&self.key) {
                LeaseWork::Nothing => "nothing",
                LeaseWork::Taking => "being taken",
                LeaseWork::Held { consumed: true } => "held",
                LeaseWork::Held { consumed: false } => "held without a consumer",
                LeaseWork::HandlerLeft => "a handler has not returned",
            }
            .to_owned(),
            ["counts"] => format!(
                "{} engaged, {} held",
                self.leases.engaged(),
                self.leases.held()
            ),
            ["row"] => self.leases.row(&self.key).map_or_else(
                || "none".to_owned(),
                |row| {
                    let name = |worker: &Option<WorkerId>| {
                        worker.as_ref().map_or("-", WorkerId::as_str).to_owned()
                    };
                    let from = name(&row.checkpoint_owner);
                    format!("{} from {from} {}", name(&row.owner), row.counter)
                },
            ),
            ["there", "of", "late", "at", when] => yes(self
                .leases
                .there_of_late(seconds(when), PATIENCE)
                .any(|key| *key == self.key)),
            ["whole"] => yes(self.leases.is_whole()),
            _ => panic!("what is `{words:?}`?"),
        }
    }
}

#[test]
fn what_is_known_of_a_lease_is_as_the_cases_say() {
    crate::decide::cases::run("lease_entry.txt", LeaseCase::tell);
}
