use crate::decide::cases::run;
use crate::decide::members::notation::{at, seconds};

use super::*;

/// The limits are those that are named at the top of the cases.
fn tell(given: &[&str]) -> String {
    let span = |text: &str| seconds(text).since_origin();
    let limits = Limits {
        checkpoint_every: Duration::from_secs(4),
        handler_budget: Duration::from_secs(60),
        standstill: Duration::from_secs(40),
        drain: Duration::from_secs(10),
    };
    let timing = Timing::for_failover(Duration::from_secs(30));
    let mut keeping = Keeping::new(Moment::default(), timing, limits);
    let (mut consumer, mut is_ahead) = (ConsumerProgress::default(), false);
    let mut answers = Vec::new();
    for line in given {
        let words: Vec<&str> = line.trim_end_matches('?').split_whitespace().collect();
        match *words {
            ["sent", "at", when] => keeping.sent = seconds(when),
            ["checkpoint", "at", when] => keeping.checkpointed = Some(seconds(when)),
            ["not", "before", when] => keeping.retry_at = seconds(when),
            ["draining", "until", when] => keeping.drain_until = Some(seconds(when)),
            ["heartbeats", "reach", when] => keeping.beats_reach = Some(seconds(when)),
            ["kept", "by", "heartbeats", ref rest @ ..] => {
                let bump_every = rest.first().map(|every| span(every));
                keeping.kept_by = KeptBy::Heartbeats { bump_every };
            }
            ["looked", "at", when] => keeping.looked = seconds(when),
            ["a", "write", "is", "wanted"] => keeping.is_wanted = true,
            ["more", "is", "done"] => is_ahead = true,
            ["in", "a", "call", "for", long] => consumer.in_call = Some(span(long)),
            ["work", "goes", "on", "for", long] => consumer.working = Some(span(long)),
            ["still", "for", long] => consumer.still = span(long),
            ["next"] => answers.push(at(keeping.next_due(is_ahead))),
            ["at", when] => answers.push(
                match keeping.step(seconds(when), consumer, is_ahead) {
                    KeepStep::Wait => "nothing",
                    KeepStep::Lose => "it is lost",
                    KeepStep::GiveUp => "give it up",
                    KeepStep::RefuseHandOver => "refuse the request",
                    KeepStep::Checkpoint { renewal: true } => "checkpoint as a renewal",
                    KeepStep::Checkpoint { renewal: false } => "checkpoint",
                    KeepStep::Renew => "renew",
                    KeepStep::Look => "look",
                }
                .to_owned(),
            ),
            _ => panic!("what is `{line}`?"),
        }
    }
    answers.join("\n")
}

#[test]
fn a_lease_is_kept_as_the_cases_say() {
    run("keeping.txt", tell);
}
