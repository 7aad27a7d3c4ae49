use crate::decide::cases::{run, setting};
use crate::decide::members::notation::{at, seconds};
use crate::lease::{HeldLag, MalformedRow, RowKey};

use super::super::notation::worker_row;
use super::*;

fn error(word: &str) -> Error {
    let source = || "the fault of the case".into();
    match word {
        "conflict" => Error::conflict(None),
        "malformed" => Error::Malformed(Box::new(MalformedRow::new(
            RowKey::Worker("ME".into()),
            "leaseCounter",
            Some("seven"),
            "a number",
        ))),
        "throttled" => Error::Throttled { source: source() },
        "unanswered" => Error::Unknown { source: source() },
        "denied" => Error::Denied {
            message: "no rights".to_owned(),
        },
        other => panic!("what is `{other}`?"),
    }
}

fn event(words: &[&str]) -> RowEvent {
    match *words {
        ["joins"] => RowEvent::Join,
        ["starts"] => RowEvent::Keep,
        ["wakes", ref rest @ ..] => {
            let (mut audits, mut keep_alive) = (0, KeepAlive::Renewals);
            let mut lag = lag("0");
            for word in rest {
                match setting(word) {
                    ("audits", number) => audits = number.parse().expect("a number of audits"),
                    ("behind", millis) => lag = self::lag(millis),
                    ("heartbeats", _) => keep_alive = KeepAlive::Heartbeats,
                    other => panic!("what is {other:?}?"),
                }
            }
            RowEvent::Wake {
                audits,
                keep_alive,
                lag,
            }
        }
        ["stops"] => RowEvent::Leave,
        ["gave", "all", "up"] => RowEvent::Left { keeps: false },
        ["kept", "all"] => RowEvent::Left { keeps: true },
        ["written"] => RowEvent::Written(Ok(())),
        ["write", word] => RowEvent::Written(Err(error(word))),
        ["reads", "nothing"] => RowEvent::Read(Ok(None)),
        ["read", word] => RowEvent::Read(Err(error(word))),
        ["reads", ref rest @ ..] => RowEvent::Read(Ok(Some(worker_row(rest)))),
        ref other => panic!("what is {other:?}?"),
    }
}

/// That of one lease, in milliseconds.
fn lag(millis: &str) -> HeldLag {
    HeldLag::parse(&format!("1 {millis}")).expect("a number of milliseconds")
}

fn text(row: &WorkerRow) -> String {
    let mut text = format!("{} {}", row.incarnation.as_str(), row.counter);
    if row.leaving {
        text.push_str(" leaving");
    }
    if row.is_draining() {
        text.push_str(" draining");
    }
    if row.audits > 0 {
        text.push_str(&format!(" audits={}", row.audits));
    }
    let behind = row.lag.as_ref().and_then(|lag| lag.others);
    if let Some(behind) = behind.filter(|behind| !behind.is_zero()) {
        text.push_str(&format!(" behind={}", behind.as_millis()));
    }
    match row.keep_alive {
        KeepAlive::Unknown | KeepAlive::Renewals => {}
        KeepAlive::Heartbeats => text.push_str(" heartbeats"),
        KeepAlive::Killed => text.push_str(" killed"),
    }
    text
}

fn command(command: &RowCommand) -> String {
    match command {
        RowCommand::Create(row) => format!("create {}", text(row)),
        RowCommand::Read => "read".to_owned(),
        RowCommand::Replace { seen, next } => format!("replace {} by {}", text(seen), text(next)),
        RowCommand::Delete(row) => format!("delete {}", text(row)),
        RowCommand::Announce => "announce".to_owned(),
        RowCommand::Lost => "lost".to_owned(),
        RowCommand::Shown { keep_alive, sent } => {
            let by = if *keep_alive == KeepAlive::Heartbeats {
                " for the leases"
            } else {
                ""
            };
            format!("life from {}{by}", at(*sent))
        }
        RowCommand::Fail(RowFailure::NameIsTaken) => "stop: another process lives".to_owned(),
        RowCommand::Fail(RowFailure::Table(error)) => format!("fail: {error}"),
    }
}

fn tell(given: &[&str]) -> String {
    let timing = Timing::for_failover(Duration::from_secs(9));
    let mut own = OwnRow::new("ME".into(), timing);
    let mut tokens = 0;
    let mut token = || {
        tokens += 1;
        Token::new(format!("me{tokens}"))
    };
    let mut told = Vec::new();
    for line in given {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [when, words @ ..] = &*words else {
            panic!("what is `{line}`?");
        };
        let commands = own.on(event(words), seconds(when), &mut token);
        let mut follows: Vec<_> = commands.iter().map(command).collect();
        follows.extend(
            own.next_wakeup()
                .map(|moment| format!("wake at {}", at(moment))),
        );
        told.push(if follows.is_empty() {
            "nothing".to_owned()
        } else {
            follows.join(", ")
        });
    }
    if own.former_left() {
        told.push("the former process had left".to_owned());
    }
    told.join("\n")
}

#[test]
fn a_worker_keeps_its_own_row_as_the_cases_say() {
    run("own_row.txt", tell);
}
