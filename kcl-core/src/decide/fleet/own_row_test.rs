use crate::decide::cases::{run, setting};
use crate::decide::members::notation::seconds;

use super::*;

fn row(words: &[&str]) -> WorkerRow {
    let [process, counter, rest @ ..] = words else {
        panic!("a process and a counter, not {words:?}");
    };
    let mut row = WorkerRow::new("ME".into(), (*process).into(), Duration::from_secs(10));
    row.counter = counter.parse().expect("a counter");
    for word in rest {
        match setting(word) {
            ("F", failover) => row.failover = seconds(failover).since_origin(),
            ("leaving", _) => row.leaving = true,
            other => panic!("what is {other:?} of a row?"),
        }
    }
    row
}

fn tell(given: &[&str]) -> String {
    let timing = Timing::for_failover(Duration::from_secs(10));
    let mut namesake: Option<Namesake> = None;
    let mut answers = Vec::new();
    for line in given {
        let words: Vec<&str> = line.trim_end_matches('?').split_whitespace().collect();
        match *words {
            ["found", "at", when, ref rest @ ..] => match &mut namesake {
                Some(namesake) => namesake.see(row(rest), seconds(when)),
                None => namesake = Some(Namesake::new(row(rest), seconds(when))),
            },
            ["what", "follows", "at", when] => {
                let namesake = namesake.as_ref().expect("a row was found");
                answers.push(match namesake.judge(seconds(when), &timing) {
                    NamesakeVerdict::Replace => "replace it".to_owned(),
                    NamesakeVerdict::Wait => "wait".to_owned(),
                    NamesakeVerdict::Duplicate => "stop: another process lives".to_owned(),
                });
            }
            ["process", me, "finds", ref rest @ ..] => {
                let found = (rest != ["nothing"]).then(|| row(rest));
                answers.push(match FoundRow::of(found, Some(&me.into())) {
                    FoundRow::Own(row) => format!("its own, with {}", row.counter),
                    FoundRow::Others => "another process's".to_owned(),
                    FoundRow::Missing => "nothing: it is made again".to_owned(),
                });
            }
            _ => panic!("what is `{line}`?"),
        }
    }
    answers.join("\n")
}

#[test]
fn a_worker_minds_its_own_row_as_the_cases_say() {
    run("own_row.txt", tell);
}

#[test]
fn a_heartbeat_without_an_answer_does_not_wait_for_its_turn() {
    let timing = Timing::for_failover(Duration::from_secs(9));
    let pause = |is_watching, is_late| heartbeat_pause(is_watching, is_late, &timing).as_secs();
    assert_eq!(
        [pause(false, false), pause(false, true), pause(true, false)],
        [3, 1, 1]
    );
}
