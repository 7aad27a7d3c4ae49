use super::*;

/// Runs the events that a case names and gives back a line for each: the event, the state after it, what to do.
fn trace(events: &str) -> String {
    let mut consumer = Consumer::new();
    let mut lines = vec![format!("start -> {:?}: {:?}", consumer.state(), consumer.pending())];
    for name in events.split_whitespace() {
        let event = match name {
            "parents-finished" => Event::ParentsFinished,
            "initialized" => Event::Initialized,
            "failed" => Event::Failed,
            "pause-over" => Event::PauseOver,
            "batch-ready" => Event::BatchReady,
            "batch-done" => Event::BatchDone,
            "end-reached" => Event::EndReached,
            "shard-ended" => Event::ShardEnded,
            "end-stored" => Event::EndStored,
            "shutdown-requested" => Event::ShutdownRequested,
            "released" => Event::Released,
            "lease-lost-returned" => Event::LeaseLostReturned,
            "stop" => Event::StopAsked,
            "woken" => Event::WokenForNothing,
            "lost" => Event::LeaseLost(LossReason::Lost),
            other => panic!("unknown event {other}"),
        };
        let command = consumer.on(event);
        lines.push(format!("{name} -> {:?}: {command:?}", consumer.state()));
    }
    lines.join("\n")
}

#[test]
fn the_cases_of_the_text_file_hold() {
    let cases = include_str!("testdata/consumer.txt");
    let mut count = 0;
    for case in cases.split("\n\n").filter(|case| case.contains("----")) {
        let (given, expected) = case.split_once("\n----\n").expect("a case has given and expected parts");
        let events: String = given.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join(" ");
        assert_eq!(trace(&events), expected.trim_end(), "\nin the case:\n{given}");
        count += 1;
    }
    assert!(count >= 12, "{count} cases");
}

/// Every sequence of up to 9 events: the promises of the module header hold on each prefix.
#[test]
fn no_order_of_events_breaks_the_order_of_calls() {
    fn answers(command: &Command) -> Vec<Event> {
        let mut answers = match command {
            Command::AwaitParents => vec![Event::ParentsFinished],
            Command::Initialize => vec![Event::Initialized, Event::Failed],
            Command::AwaitBatch => vec![Event::BatchReady, Event::EndReached],
            Command::Process => vec![Event::BatchDone, Event::Failed],
            Command::Pause => vec![Event::PauseOver],
            Command::CallShardEnded => vec![Event::ShardEnded, Event::Failed],
            Command::StoreEnd => vec![Event::EndStored, Event::Failed],
            Command::CallShutdownRequested => vec![Event::ShutdownRequested],
            Command::Release => vec![Event::Released, Event::Failed],
            Command::CallLeaseLost(_) => vec![Event::LeaseLostReturned],
            Command::Finish(_) => return Vec::new(),
        };
        answers.extend([Event::StopAsked, Event::WokenForNothing, Event::LeaseLost(LossReason::Lost)]);
        answers
    }

    #[derive(Clone, Default)]
    struct Seen {
        initialized: bool,
        confirmed: bool,
        lost_calls: u32,
    }

    fn explore(consumer: &Consumer, seen: &Seen, depth: u32, runs: &mut u32) {
        let command = consumer.pending();
        match command {
            Command::AwaitBatch | Command::Process | Command::CallShardEnded | Command::CallShutdownRequested => {
                assert!(seen.initialized, "{command:?} before initialize succeeded");
            }
            Command::StoreEnd => assert!(seen.confirmed),
            Command::CallLeaseLost(_) => assert!(seen.initialized && !seen.confirmed && seen.lost_calls == 0),
            Command::Finish(outcome) => {
                *runs += 1;
                let told = u32::from(seen.initialized && !seen.confirmed);
                assert_eq!(seen.lost_calls, told, "exactly one of shard_ended and lease_lost");
                assert_eq!(*outcome == Outcome::ShardEnd, seen.confirmed && matches!(outcome, Outcome::ShardEnd));
                return;
            }
            _ => {}
        }
        if depth == 0 {
            return;
        }
        for event in answers(command) {
            let mut seen = seen.clone();
            match event {
                Event::Initialized => seen.initialized = true,
                Event::ShardEnded => seen.confirmed = true,
                Event::LeaseLostReturned => seen.lost_calls += 1,
                _ => {}
            }
            let mut consumer = consumer.clone();
            consumer.on(event);
            explore(&consumer, &seen, depth - 1, runs);
        }
    }

    let mut runs = 0;
    explore(&Consumer::new(), &Seen::default(), 9, &mut runs);
    assert!(runs > 1000, "only {runs} whole runs were tried");
}
