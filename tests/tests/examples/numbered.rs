//! The numbered examples: each does what it shows, and stops in good order.

use std::fs::{File, read_to_string};

use rustix::process::Signal;
use tempfile::TempDir;

use super::program::Program;

/// Runs an example until it has printed all of this, tells it to stop, and returns what it printed.
async fn shows(example: &str, lines: &[impl AsRef<str>]) -> String {
    shows_with(example, lines, &[]).await
}

/// The same with these variables in its environment.
async fn shows_with(
    example: &str,
    lines: &[impl AsRef<str>],
    environment: &[(&str, &str)],
) -> String {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("out");
    let out = File::create(&path).unwrap();
    let mut run = Program::start_with(example, [""; 0], |command| {
        command.stdout(out).envs(environment.iter().copied())
    });
    let printed = || read_to_string(&path).unwrap();
    run.until("all is printed", || {
        lines.iter().all(|line| printed().contains(line.as_ref()))
    })
    .await;
    // Twice, as `timeout` does.
    run.signal(Signal::TERM);
    run.signal(Signal::TERM);
    let run = run.finish().await;
    assert_eq!(run.code, Some(0), "{run:?}");
    printed()
}

/// What is printed of the twenty orders: with all of them every shard has been read.
fn all_orders() -> Vec<String> {
    (1..=20)
        .map(|number| format!("customer-{} order {number}\n", number % 10))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hello_prints_every_record_and_drains_at_a_signal() {
    let printed = shows("01_hello", &all_orders()).await;
    assert!(
        printed.ends_with("2 drained, 0 released unread, 0 abandoned\n"),
        "{printed}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stop_ends_by_itself_and_says_where() {
    let run = Program::start("02_stop", [""; 0]).finish().await;
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(run.out.matches(": Drained at ").count(), 2, "{run:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checkpoints_are_stored_in_two_phases() {
    shows(
        "04_checkpoints",
        &[
            "published shardId-000000000000-1.jsonl",
            "shardId-000000000000: checkpoint at ",
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_pass_the_record_that_failed_and_no_other() {
    let printed = shows("05_failures", &["amount 1\n", "amount 2\n", "amount 4\n"]).await;
    assert!(!printed.contains("amount three"), "{printed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fan_out_prints_every_record_and_removes_its_consumer() {
    let printed = shows("06_fan_out", &all_orders()).await;
    assert!(printed.ends_with("\nconsumers removed: 1\n"), "{printed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_streams_are_read_the_added_one_too() {
    shows("07_several_streams", &["orders", "returns", "refunds"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_counts_every_record_for_prometheus() {
    let printed = shows("08_metrics", &all_orders()).await;
    let sum = |name: &str| {
        let values = printed
            .lines()
            .filter(|line| line.starts_with(&format!("{name}{{")));
        values
            .map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap())
            .sum::<u64>()
    };
    assert_eq!(
        (sum("kcl_records_processed_total"), sum("orders_total")),
        (20, 20),
        "{printed}"
    );
    assert!(
        printed.contains("\n# TYPE kcl_behind_latest_seconds gauge\n"),
        "{printed}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn own_lease_table_sees_the_tenancies_begin_and_end() {
    let printed = shows("09_own_lease_table", &all_orders()).await;
    for shard in ["shardId-000000000000", "shardId-000000000001"] {
        let rows: Vec<&str> = printed
            .lines()
            .filter_map(|line| line.strip_prefix(&format!("{shard}: held by ")))
            .collect();
        assert!(
            rows.iter().any(|row| row.starts_with("worker-")),
            "{printed}"
        );
        assert!(
            rows.last().is_some_and(|row| row.starts_with("nobody, ")),
            "{printed}"
        );
    }
}

/// The times that the live application prints say what belongs to the range: several orders may
/// have arrived in one millisecond.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replay_gives_the_range_again_and_nothing_else() {
    let printed = shows("10_replay", &["replayed from "]).await;
    let of = |application: &str| {
        let lines = printed
            .lines()
            .filter_map(|line| line.strip_prefix(&format!("{application}: ")));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let live = of("live");
    assert_eq!(live.len(), 20, "{printed}");
    // RFC 3339 in UTC is ordered as text.
    let time = |line: &str| line.split_once(' ').unwrap().0.to_owned();
    let (from, to) = (time(&live[5]), time(&live[14]));
    let in_range: Vec<_> = live
        .iter()
        .filter(|line| (from.as_str()..=to.as_str()).contains(&time(line).as_str()))
        .cloned()
        .collect();
    assert_eq!(of("replay"), in_range, "{printed}");
    assert!(
        printed.contains(&format!("replayed from {from} to {to}: ")),
        "{printed}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_are_handled_one_at_a_time() {
    let printed = shows("11_records", &all_orders()).await;
    assert!(
        printed.ends_with("2 drained, 0 released unread, 0 abandoned\n"),
        "{printed}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_key_the_orders_of_a_customer_come_in_order() {
    let printed = shows("12_by_key", &all_orders()).await;
    for customer in 0..10 {
        let orders = printed
            .lines()
            .filter_map(|line| line.strip_prefix(&format!("customer-{customer} order ")));
        let orders: Vec<u32> = orders.map(|number| number.parse().unwrap()).collect();
        assert!(orders.len() == 2 && orders.is_sorted(), "{printed}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_letters_hold_the_record_and_are_handled_again() {
    let run = Program::start("13_dead_letters", [""; 0]).finish().await;
    assert_eq!(run.code, Some(0), "{run:?}");
    let lines: Vec<&str> = run.out.lines().collect();
    assert_eq!(lines.len(), 5, "{run:?}");
    assert!(
        lines[3].starts_with("dead: ") && lines[3].ends_with(", after 3 attempts"),
        "{run:?}"
    );
    assert_eq!((lines[2], lines[4]), ("amount 4", "amount 3"), "{run:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_gathered_is_written_as_files() {
    let run = Program::start("14_buffers", [""; 0]).finish().await;
    assert_eq!(run.code, Some(0), "{run:?}");
    let lines: Vec<&str> = run.out.lines().collect();
    let full = "10 orders in a file (Records)";
    assert_eq!((lines[0], lines[1], lines[3]), (full, full, "3 files"));
    assert!(lines[2].starts_with("3 orders in a file ("), "{run:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn json_is_decoded_and_what_is_none_is_dead_at_once() {
    let run = Program::start("15_json", [""; 0]).finish().await;
    assert_eq!(run.code, Some(0), "{run:?}");
    let lines: Vec<&str> = run.out.lines().collect();
    let (orders, dead) = lines.split_at(2);
    assert_eq!(
        orders,
        [
            "customer-1 orders 2 of coffee",
            "customer-1 orders 3 of tea"
        ],
        "{run:?}"
    );
    let decoding = "dead (\"permanent\"): \"the record cannot be decoded: ";
    assert_eq!(dead.len(), 2, "{run:?}");
    assert!(
        dead.iter().all(|line| line.starts_with(decoding)),
        "{run:?}"
    );
    assert!(dead[0].contains("invalid type, expected u32"), "{run:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_letters_of_a_stream_go_through_the_same_handler() {
    let run = Program::start("16_kinesis_letters", [""; 0]).finish().await;
    assert_eq!(run.code, Some(0), "{run:?}");
    let lines: Vec<&str> = run.out.lines().collect();
    let paid = ["customer-7 pays 1", "customer-7 pays 4"];
    assert_eq!(lines[..2], paid, "{run:?}");
    assert_eq!(
        lines[2..],
        ["dead: invalid digit found in string", "customer-7 pays 3"],
        "{run:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_orders_of_all_shards_are_written_as_one_file() {
    let full = "20 orders of 4 shards in a file (Records)";
    let printed = shows("17_shared_buffer", &[full]).await;
    assert!(
        printed.ends_with("4 drained, 0 released unread, 0 abandoned\n"),
        "{printed}"
    );
}

/// A span for each batch, and two figures, by the conventions for messaging.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn opentelemetry_exports_spans_and_figures() {
    let orders: Vec<_> = (1..=20).map(|number| format!("order {number}\n")).collect();
    let printed = shows("18_opentelemetry", &orders).await;
    for expected in [
        "process orders",
        "messaging.consumer.group.name",
        "messaging.batch.message_count",
        "messaging.client.consumed.messages",
        "messaging.process.duration",
    ] {
        assert!(printed.contains(expected), "{expected}: {printed}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a DynamoDB Local: tests/e2e/run dynamo"]
async fn dynamodb_keeps_what_the_next_run_of_the_example_goes_on_at() {
    let endpoint = std::env::var("KCL_E2E_DYNAMO")
        .expect("KCL_E2E_DYNAMO is the URL of a DynamoDB Local: see tests/e2e/run");
    let folder = TempDir::new().unwrap();
    let environment = [
        ("AWS_ENDPOINT_URL_DYNAMODB", &*endpoint),
        ("TMPDIR", folder.path().to_str().unwrap()),
    ];
    for run in ["first", "second"] {
        let printed = shows_with("03_dynamodb", &all_orders(), &environment).await;
        assert_eq!(printed.matches(" order ").count(), 20, "{run}: {printed}");
        assert!(
            printed.ends_with("2 drained, 0 released unread, 0 abandoned\n"),
            "{run}: {printed}"
        );
    }
}
