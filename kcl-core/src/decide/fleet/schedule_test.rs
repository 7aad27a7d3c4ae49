use crate::decide::cases::{run, setting};
use crate::decide::members::notation::{at, seconds};
use crate::model::LeaseKey;

use super::*;

/// Scans every 2 s, audits every 120 s.
fn tell(given: &[&str]) -> String {
    let mut schedule = Schedule::new(Duration::from_secs(2), Duration::from_secs(120));
    let mut answers = Vec::new();
    for line in given {
        let words: Vec<&str> = line.trim_end_matches('?').split_whitespace().collect();
        match *words {
            ["scans", "every", span] => {
                let every = seconds(span).since_origin();
                schedule = Schedule::new(every, Duration::from_secs(120));
            }
            ["audits", "every", span] => {
                let every = seconds(span).since_origin();
                schedule = Schedule::new(Duration::from_secs(2), every);
            }
            ["hurry", "at", when] => schedule.hurry(seconds(when)),
            ["seen", "at", when, "quiet"] => schedule.seen(seconds(when), ScanPace::Quiet),
            ["watches", "for", "a", "KCL"] => schedule.watch_for_a_kcl(true),
            ["begins", "at", when] => schedule.begins(seconds(when)),
            ["scan", "at", when] => schedule.scan_begins(seconds(when)),
            ["the", "scan", "ends"] => schedule.scan_ended(),
            ["seen", "at", when, "with", "others"] => schedule.seen(seconds(when), ScanPace::Busy),
            ["seen", "at", when, "alone"] => schedule.seen(seconds(when), ScanPace::Alone),
            ["something", "changed"] => schedule.something_changed(),
            ["scan", "by", when] => schedule.scan_by(seconds(when)),
            ["done", "with", "a", "lease", "at", when] => {
                schedule.disengaged(seconds(when), false);
            }
            [
                "done",
                "with",
                "a",
                "lease",
                "of",
                "a",
                "reading",
                "at",
                when,
            ] => {
                schedule.disengaged(seconds(when), true);
            }
            ["audit", "at", when] => schedule.audit_begins(seconds(when)),
            ["the", "audit", "fails"] => schedule.audit_ended(),
            ["another", "audit", "at", when] => schedule.saw_audit(seconds(when)),
            ["streams", "change", "at", when] => schedule.audit_at_once(seconds(when)),
            ["audited", "from", begun, "to", ended, ref rest @ ..] => {
                let mut outcome = AuditOutcome {
                    scan: (seconds(begun), seconds(ended)),
                    put_off: None,
                    not_yet: false,
                    overtaken: false,
                };
                for word in rest {
                    match setting(word) {
                        ("put-off", span) => {
                            outcome.put_off = Some(seconds(span).since_origin());
                        }
                        ("not-yet", _) => outcome.not_yet = true,
                        ("overtaken", _) => outcome.overtaken = true,
                        other => panic!("what is {other:?} of an audit?"),
                    }
                }
                schedule.audit_ended();
                schedule.audited(outcome, seconds(ended));
            }
            ["take", key, "at", when] => {
                let mut takes = std::mem::take(&mut schedule.takes);
                takes.push(Take {
                    key: LeaseKey::single(key),
                    at: seconds(when),
                    rank: 0,
                });
                schedule.plan(takes);
            }
            ["next", "of", "rank", rank] => {
                let rank = rank.parse().expect("a rank");
                let next = schedule.next_wakeup(|| rank);
                answers.push(next.map_or_else(|| "never".to_owned(), at));
            }
            ["due", "at", when] => answers.push(match schedule.due(seconds(when), || 0) {
                Some(DueStep::Scan) => "scan".to_owned(),
                Some(DueStep::Audit) => "audit".to_owned(),
                None => "nothing".to_owned(),
            }),
            ["takes", "at", when] => {
                let due = schedule.due_takes(seconds(when));
                let keys: Vec<_> = due.iter().map(|take| take.key.to_string()).collect();
                answers.push(if keys.is_empty() {
                    "nothing".to_owned()
                } else {
                    keys.join(" ")
                });
            }
            ["news", "of", begun] => {
                let is_news = schedule.is_news(seconds(begun));
                answers.push(if is_news { "yes" } else { "no" }.to_owned());
            }
            ["everything", "is", "read"] => answers.push(
                match schedule.reading_step() {
                    ReadingStep::Wait => "wait",
                    ReadingStep::Audit => "audit",
                    ReadingStep::Finish => "finish",
                }
                .to_owned(),
            ),
            _ => panic!("what is `{line}`?"),
        }
    }
    answers.join("\n")
}

#[test]
fn scans_and_audits_come_as_the_cases_say() {
    run("schedule.txt", tell);
}
