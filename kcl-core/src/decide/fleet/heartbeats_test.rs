use std::time::Duration;

use super::super::notation::ShownTable;
use super::super::schedule::ScanPace;
use super::super::{FleetCommand, FleetSettings, Scan};
use super::*;
use crate::decide::assignment::Take;
use crate::decide::cases::run;
use crate::decide::expiry::Timing;
use crate::decide::members::notation::{at as seconds_at, seconds};
use crate::lease::ScanPage;
use crate::model::Checkpoint;

const F: Duration = Duration::from_secs(10);

fn at(seconds: u64) -> Moment {
    Moment::from_origin(Duration::from_secs(seconds))
}

/// An engine that has seen the row of A stand still for 6 s, and plans to take its lease at 8 s.
fn engine(row: &WorkerRow) -> Engine {
    let mut engine = Engine::new(FleetSettings::of_tests());
    let lease = Lease::new(LeaseKey::single("1"), Checkpoint::TrimHorizon);
    let lease = lease.owned_by("A".into(), "a:1".into());
    for when in [0, 2, 4, 6] {
        let page = ScanPage {
            leases: vec![lease.clone()],
            workers: vec![row.clone()],
            ..ScanPage::default()
        };
        engine.scanned(Scan::new(page, at(when), at(when)));
    }
    let key = lease.key;
    let due = Take {
        key,
        at: at(8),
        rank: 0,
    };
    engine.schedule.plan(vec![due]);
    engine
}

#[test]
fn a_row_that_has_moved_since_the_plan_is_not_killed() {
    let row = WorkerRow {
        keep_alive: KeepAlive::Heartbeats,
        ..WorkerRow::new("A".into(), "a".into(), F)
    };
    let mut still = engine(&row);
    let takes = still.takes(at(8), true);
    assert!(
        matches!(&takes[..], [FleetCommand::Take { kill: Some(of), .. }] if *of == row),
        "{takes:?}"
    );
    let mut moved = engine(&row);
    moved.see_worker(&"A".into(), Some(row.next()), at(7));
    assert_eq!(moved.takes(at(8), true), []);
}

/// The worker `ME`, and the table as it is now.
struct LivenessCase {
    engine: Engine,
    liveness: Liveness,
    table: ShownTable,
}

impl LivenessCase {
    fn tell(given: &[&str]) -> String {
        let mut case = Self {
            engine: Engine::new(FleetSettings::of_tests()),
            liveness: Liveness::default(),
            table: ShownTable::default(),
        };
        let mut answers = Vec::new();
        for line in given {
            let words: Vec<&str> = line.trim_end_matches('?').split_whitespace().collect();
            match *words {
                ["what", "holds", "at", when] => answers.push(case.holds(seconds(when))),
                ["next", "scan", "after", when] => answers.push(case.next_scan(seconds(when))),
                _ => case.happens(&words),
            }
        }
        answers.join("\n")
    }

    fn happens(&mut self, words: &[&str]) {
        match *words {
            ["with", "auto"] => self.liveness = Liveness::Auto,
            ["with", "fleet"] => self.liveness = Liveness::Fleet,
            ["with", "compatible"] => self.liveness = Liveness::Compatible,
            ["with", "kcl"] => self.liveness = Liveness::Kcl,
            ["failover", "of", "ME", span] => {
                let timing = Timing::for_failover(seconds(span).since_origin());
                self.engine = Engine::new(FleetSettings {
                    timing,
                    ..FleetSettings::of_tests()
                });
            }
            ["scan", "at", when] => {
                self.engine.scanned(self.table.scan(seconds(when)));
            }
            _ => assert!(self.table.takes(words), "what is `{words:?}`?"),
        }
    }

    fn holds(&mut self, now: Moment) -> String {
        let held = self.engine.keep_alive(self.liveness, &"1".into(), now);
        match held {
            KeepAlive::Heartbeats => "heartbeats",
            KeepAlive::Renewals => "renewals",
            other => panic!("{other:?} holds nothing"),
        }
        .to_owned()
    }

    /// If a scan begins and ends then, and every lease is its own.
    fn next_scan(&mut self, now: Moment) -> String {
        let schedule = &mut self.engine.schedule;
        schedule.scan_begins(now);
        schedule.scan_ended();
        schedule.seen(now, ScanPace::Alone);
        let next = schedule.next_wakeup(|| 0);
        next.map_or_else(|| "never".to_owned(), seconds_at)
    }
}

#[test]
fn what_holds_the_leases_is_as_the_cases_say() {
    run("liveness.txt", LivenessCase::tell);
}
