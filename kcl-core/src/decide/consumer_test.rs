use super::*;

/// Runs the events that a case names and gives back a line for each: the event, the state after it,
/// what to do.
fn trace(events: &str) -> String {
    let mut consumer = ConsumerMachine::new();
    let mut lines = vec![format!(
        "start -> {:?}: {:?}",
        consumer.state(),
        consumer.pending()
    )];
    for name in events.split_whitespace() {
        let event = match name {
            "parents-finished" => Step::ParentsFinished,
            "initialized" => Step::Initialized,
            "failed" => Step::Failed,
            "start-over" => Step::StartOver,
            "pause-over" => Step::PauseOver,
            "batch-ready" => Step::BatchReady,
            "batch-done" => Step::BatchDone,
            "was-quiet" => Step::WasQuiet,
            "idle-returned" => Step::IdleReturned,
            "end-reached" => Step::EndReached,
            "shard-ended" => Step::ShardEnded,
            "end-stored" => Step::EndStored,
            "shutdown-requested" => Step::ShutdownRequested,
            "left-to-others" => Step::LeftToOthers,
            "released" => Step::Released,
            "lease-lost-returned" => Step::LeaseLostReturned,
            "stop" => Step::StopAsked,
            "woken" => Step::WokenForNothing,
            "lost" => Step::LeaseLost(LossReason::Lost("`b` has it".into())),
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
        let (given, expected) = case
            .split_once("\n----\n")
            .expect("a case has given and expected parts");
        let events: String = given
            .lines()
            .filter(|line| !line.starts_with('#'))
            .collect::<Vec<_>>()
            .join(" ");
        assert_eq!(
            trace(&events),
            expected.trim_end(),
            "\nin the case:\n{given}"
        );
        count += 1;
    }
    assert!(count >= 12, "{count} cases");
}

/// Every sequence of up to 9 events: the promises of the module header hold on each prefix.
#[test]
fn no_order_of_events_breaks_the_order_of_calls() {
    fn answers(command: &Command) -> Vec<Step> {
        let mut answers = match command {
            Command::AwaitParents => vec![Step::ParentsFinished],
            Command::Initialize => vec![Step::Initialized, Step::Failed],
            Command::AwaitBatch => vec![Step::BatchReady, Step::EndReached, Step::WasQuiet],
            Command::CallIdle => vec![Step::IdleReturned, Step::StartOver],
            Command::Process => vec![Step::BatchDone, Step::Failed, Step::StartOver],
            Command::Pause => vec![Step::PauseOver],
            Command::CallShardEnded => {
                vec![Step::ShardEnded, Step::Failed, Step::StartOver]
            }
            Command::StoreEnd => vec![Step::EndStored, Step::Failed, Step::LeftToOthers],
            Command::CallShutdownRequested => vec![Step::ShutdownRequested],
            Command::Release => vec![Step::Released, Step::Failed],
            Command::CallLeaseLost(_) => vec![Step::LeaseLostReturned],
            Command::Finish(_) => return Vec::new(),
        };
        answers.extend([
            Step::StopAsked,
            Step::WokenForNothing,
            Step::LeaseLost(LossReason::Lost("`b` has it".into())),
        ]);
        answers
    }

    #[derive(Clone, Default)]
    struct MachineTrace {
        initialized: bool,
        confirmed: bool,
        lost_calls: u32,
    }

    fn explore(consumer: &ConsumerMachine, seen: &MachineTrace, depth: u32, runs: &mut u32) {
        let command = consumer.pending();
        match command {
            Command::AwaitBatch
            | Command::Process
            | Command::CallIdle
            | Command::CallShardEnded
            | Command::CallShutdownRequested => {
                assert!(seen.initialized, "{command:?} before initialize succeeded");
            }
            Command::StoreEnd => assert!(seen.confirmed),
            Command::CallLeaseLost(_) => {
                assert!(seen.initialized && !seen.confirmed && seen.lost_calls == 0);
            }
            Command::Finish(outcome) => {
                *runs += 1;
                let told = u32::from(seen.initialized && !seen.confirmed);
                assert_eq!(
                    seen.lost_calls, told,
                    "exactly one of shard_ended and lease_lost"
                );
                assert_eq!(
                    *outcome == ConsumerOutcome::ShardEnd,
                    seen.confirmed && matches!(outcome, ConsumerOutcome::ShardEnd)
                );
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
                Step::Initialized => seen.initialized = true,
                // Its processor is dropped.
                Step::StartOver => seen.initialized = false,
                Step::ShardEnded => seen.confirmed = true,
                Step::LeaseLostReturned => seen.lost_calls += 1,
                _ => {}
            }
            let mut consumer = consumer.clone();
            consumer.on(event);
            explore(&consumer, &seen, depth - 1, runs);
        }
    }

    let mut runs = 0;
    explore(
        &ConsumerMachine::new(),
        &MachineTrace::default(),
        9,
        &mut runs,
    );
    assert!(runs > 1000, "only {runs} whole runs were tried");
}
