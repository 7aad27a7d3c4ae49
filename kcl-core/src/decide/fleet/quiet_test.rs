use std::time::Duration;

use super::super::FleetSettings;
use super::super::notation::{Mine, ShownTable};
use super::*;
use crate::decide::cases::run;
use crate::decide::liveness::Liveness;
use crate::decide::members::notation::{at as seconds_at, seconds};
use crate::model::LeaseKey;

/// What the table shows, and the engine of the worker `ME`.
struct QuietCase {
    engine: Engine,
    liveness: Liveness,
    table: ShownTable,
}

impl QuietCase {
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
                ["is", "it", "quiet"] => answers.push(case.pace().to_owned()),
                ["whom", "does", "it", "tell", "of", "at", when] => {
                    answers.push(case.told(seconds(when)));
                }
                ["who", "lives", "at", when] => answers.push(case.live(seconds(when))),
                ["who", "is", "watched"] => answers.push(case.watched()),
                ["ME", "reads", who, "at", when] => answers.push(case.reads(who, seconds(when))),
                _ => case.happens(&words),
            }
        }
        answers.join("\n")
    }

    fn happens(&mut self, words: &[&str]) {
        match *words {
            ["with", "compatible"] => self.liveness = Liveness::Compatible,
            ["with", "kcl"] => self.liveness = Liveness::Kcl,
            ["of", "a", "reading"] => self.engine.settings.reading_ends = true,
            ["ME", "holds", key] => self.engine.leases.hold(&LeaseKey::single(key), true),
            ["the", "signal", "is", "heard", "at", when] => self.engine.hears(true, seconds(when)),
            ["the", "signal", "is", "lost", "at", when] => self.engine.hears(false, seconds(when)),
            ["a", "word", "at", when] => self.engine.disturb(seconds(when)),
            ["all", "beat"] => self.beat(|_| true),
            [id, "beats"] => self.beat(|worker| worker == id),
            ["scan", "at", when] => self.scan(seconds(when)),
            ["scans", from, "to", to, "while", ref beats @ ..] => {
                let mut now = seconds(from);
                while now <= seconds(to) {
                    match *beats {
                        ["all", "beat"] => self.beat(|_| true),
                        [id, "stands", "still"] => self.beat(|worker| worker != id),
                        _ => panic!("while what: {beats:?}?"),
                    }
                    self.scan(now);
                    now = now + Duration::from_secs(2);
                }
            }
            _ => assert!(self.table.takes(words), "what is `{words:?}`?"),
        }
    }

    fn beat(&mut self, beats: impl Fn(&str) -> bool) {
        for row in &mut self.table.workers {
            if beats(row.worker.as_str()) {
                *row = row.next();
            }
        }
    }

    fn scan(&mut self, now: Moment) {
        self.engine.scanned(self.table.scan(now));
        self.plan(now);
    }

    fn plan(&mut self, now: Moment) {
        self.engine.keep_alive(self.liveness, &"1".into(), now);
        let planned = self.engine.act(now, now, true, &Mine);
        assert!(planned.is_ok(), "the name is taken");
    }

    fn pace(&self) -> &'static str {
        if self.engine.members.is_quiet {
            "quiet"
        } else {
            "no"
        }
    }

    fn told(&mut self, now: Moment) -> String {
        let told = self.engine.whom_to_tell_of(false, now);
        let names: Vec<_> = told.iter().map(WorkerId::as_str).collect();
        if names.is_empty() {
            "nobody".to_owned()
        } else {
            names.join(" ")
        }
    }

    fn live(&self, now: Moment) -> String {
        let engine = &self.engine;
        let live = engine.members.live(now, &engine.settings.timing);
        let names: Vec<_> = live.iter().map(WorkerId::as_str).collect();
        names.join(" ")
    }

    fn watched(&self) -> String {
        let neighbour = self.engine.quiet.neighbour.as_ref();
        neighbour.map_or_else(
            || "nobody".to_owned(),
            |neighbour| {
                let next = neighbour
                    .next()
                    .map_or_else(|| "now".to_owned(), seconds_at);
                format!("{} at {next}", neighbour.worker())
            },
        )
    }

    /// What the row shows, and whether the worker is dead by then.
    fn reads(&mut self, who: &str, now: Moment) -> String {
        let row = self
            .table
            .workers
            .iter()
            .find(|row| row.worker.as_str() == who)
            .cloned();
        let said = match self.engine.saw_neighbour(&who.into(), Ok(row), now) {
            NeighbourState::Lives => "lives",
            NeighbourState::StandsStill => "stands still",
            NeighbourState::HasChanged => "has changed",
        };
        said.to_owned()
    }
}

#[test]
fn a_fleet_is_quiet_as_the_cases_say() {
    run("quiet.txt", QuietCase::tell);
}
