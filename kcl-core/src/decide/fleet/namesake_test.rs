use std::time::Duration;

use crate::decide::cases::run;
use crate::decide::members::notation::seconds;

use super::super::notation::worker_row;
use super::*;

fn tell(given: &[&str]) -> String {
    let timing = Timing::for_failover(Duration::from_secs(10));
    let mut namesake: Option<Namesake> = None;
    let mut answers = Vec::new();
    for line in given {
        let words: Vec<&str> = line.trim_end_matches('?').split_whitespace().collect();
        match *words {
            ["found", "at", when, ref rest @ ..] => match &mut namesake {
                Some(namesake) => namesake.see(worker_row(rest), seconds(when)),
                None => namesake = Some(Namesake::new(worker_row(rest), seconds(when))),
            },
            ["what", "follows", "at", when] => {
                let namesake = namesake.as_ref().expect("a row was found");
                answers.push(match namesake.judge(seconds(when), &timing) {
                    NamesakeVerdict::Replace => "replace it",
                    NamesakeVerdict::Wait => "wait",
                    NamesakeVerdict::Duplicate => "stop: another process lives",
                });
            }
            _ => panic!("what is `{line}`?"),
        }
    }
    answers.join("\n")
}

#[test]
fn another_process_of_the_same_name_is_judged_as_the_cases_say() {
    run("namesake.txt", tell);
}
