use std::sync::{Arc, Mutex};
use std::time::Duration;

use kcl_core::handler::{DeadLetter, Letter, RecordContext, Retries, in_order};
use kcl_core::lease::LeaseTable;
use kcl_core::model::{Checkpoint, LeaseKey, Record};
use kcl_core::worker::Event;
use kcl_core::{BoxError, MemoryLeaseTable, MemoryStream, RecordHandler, Worker};
use kcl_sqs::SqsLetters;
use serde_json::{Value, json};

use super::queue::{Answer, Queue, locked};

const STANDARD: &str = "https://sqs.eu-west-1.amazonaws.com/123456789012/dead";
const FIFO: &str = "https://sqs.eu-west-1.amazonaws.com/123456789012/dead.fifo";

/// Takes no record.
struct Never;

impl RecordHandler for Never {
    async fn handle(&self, _: &Record, _: &RecordContext) -> Result<(), BoxError> {
        Err("never".into())
    }
}

/// A worker that gives up these records after an attempt each, until all are given up. Returns what
/// it told of failures, and how many records are passed.
async fn give_up(records: &[(&str, &[u8])], letters: SqsLetters) -> (Vec<String>, bool) {
    let (stream, table) = (MemoryStream::new("orders", 1), MemoryLeaseTable::new());
    let shard = stream.open_shards().remove(0);
    let owned = |(key, data): &(&str, &[u8])| ((*key).to_owned(), data.to_vec());
    let put = stream
        .put_many_to(&shard, records.iter().map(owned))
        .unwrap();
    let retries = Retries::attempts(1)
        .pause(Duration::from_millis(1), Duration::from_millis(5))
        .dead_letter(letters);
    let worker = Worker::builder()
        .stream("orders")
        .source(stream)
        .application("tests")
        .lease_table(table.clone())
        .processor(in_order(Never).retries(retries))
        .until_caught_up()
        .build()
        .unwrap();
    let (mut events, refused) = (worker.events(), Arc::new(Mutex::new(Vec::new())));
    let told = Arc::clone(&refused);
    // For ever, as it seems: nothing else ends the run then.
    let five_refusals = async move {
        while let Some(event) = events.next().await {
            if let Event::HandlerFailed { error, .. } = &event
                && **error != *"never"
            {
                locked(&told).push(error.to_string());
                if locked(&told).len() == 5 {
                    return;
                }
            }
        }
        std::future::pending::<()>().await;
    };
    let ended = worker.run_until(five_refusals, Duration::from_secs(5));
    ended.await.unwrap();
    let lease = table.get(&LeaseKey::single(shard)).await.unwrap().unwrap();
    let last = Checkpoint::At(put[put.len() - 1].clone().into());
    let refused = locked(&refused).clone();
    (refused, lease.checkpoint == last)
}

fn decoded(letter: &Value) -> Vec<u8> {
    let data = letter["data"].as_str().expect("a letter with its data");
    base64_simd::STANDARD.decode_to_vec(data).unwrap()
}

#[tokio::test]
async fn a_letter_is_a_message_with_the_record_in_it() {
    let (queue, client) = Queue::start([]).await;
    let whole: Vec<u8> = (0..=255).collect();
    let records: [(&str, &[u8]); 2] = [("customer-ü", &whole), ("b", b"")];
    let (refused, passed) = give_up(&records, SqsLetters::new(&client, STANDARD)).await;
    assert!(passed && refused.is_empty(), "{refused:?}");
    let requests = queue.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[0]["QueueUrl"], STANDARD);
    for only_of_fifo in ["MessageGroupId", "MessageDeduplicationId"] {
        assert_eq!(requests[0][only_of_fifo], Value::Null);
    }
    assert!(requests[0]["MessageBody"].as_str().unwrap().is_ascii());
    let letters = queue.letters();
    assert_eq!(
        (&letters[0]["partition_key"], &letters[0]["error"]),
        (&"customer-ü".into(), &"never".into())
    );
    assert_eq!(
        (&letters[0]["attempts"], &letters[0]["why"]),
        (&1.into(), &"attempts_exhausted".into())
    );
    assert_eq!(
        (decoded(&letters[0]), decoded(&letters[1])),
        (whole, vec![])
    );
}

/// The record is tried again until the queue has confirmed its letter.
#[tokio::test]
async fn a_record_is_not_passed_before_the_queue_confirms() {
    let (queue, client) = Queue::start([
        Answer::Refused("QueueDoesNotExist"),
        Answer::Said(json!({})),
        Answer::Said(json!({"MessageId": "one", "MD5OfMessageBody": "another"})),
    ])
    .await;
    let letters = SqsLetters::new(&client, STANDARD);
    let (refused, passed) = give_up(&[("a", b"1")], letters).await;
    assert!(passed);
    assert_eq!(
        (refused.len(), queue.requests().len()),
        (3, 4),
        "{refused:?}"
    );
    for (refusal, said) in refused.iter().zip([
        "the queue did not take the message: ",
        "does not confirm the message: it has no `MessageId`",
        "the MD5 of its body is another, expected is ",
    ]) {
        assert!(refusal.contains(said), "{refusal}");
    }
    assert!(refused[0].contains("QueueDoesNotExist"), "{}", refused[0]);
    // Dropped before it is confirmed, nothing is passed either.
    let (queue, client) = Queue::start((0..9).map(|_| Answer::Refused("OverLimit"))).await;
    let letters = SqsLetters::new(&client, STANDARD);
    let (refused, passed) = give_up(&[("a", b"1")], letters).await;
    assert_eq!((refused.len(), passed), (5, false));
    assert!(queue.requests().len() >= 5);
}

/// Keeps how many bytes the content of each letter has.
#[derive(Clone, Default)]
struct Sizes(Arc<Mutex<Vec<usize>>>);

impl DeadLetter for Sizes {
    async fn deliver(&self, letter: Letter<'_>) -> Result<(), BoxError> {
        locked(&self.0).push(letter.record.data.len());
        Ok(())
    }
}

#[tokio::test]
async fn a_letter_that_is_too_large_goes_where_it_was_told_to() {
    let large = vec![7; 900 * 1024];
    let records: [(&str, &[u8]); 2] = [("a", b"small"), ("a", &large)];

    let (queue, client) = Queue::start([]).await;
    let letters = SqsLetters::new(&client, STANDARD);
    let (refused, passed) = give_up(&records, letters.clone()).await;
    assert!(!passed && queue.requests().len() == 1, "{refused:?}");
    assert!(refused[0].contains("may have 1048576"), "{}", refused[0]);

    let (refused, passed) = give_up(&records, letters.clone().without_large_data()).await;
    assert!(passed && refused.is_empty(), "{refused:?}");
    let sent = queue.letters();
    assert_eq!((sent.len(), decoded(&sent[1])), (3, b"small".to_vec()));
    assert_eq!(
        (&sent[2]["data"], &sent[2]["data_bytes"]),
        (&Value::Null, &large.len().into())
    );
    assert!(sent[2]["sequence_number"].is_string());

    let elsewhere = Sizes::default();
    let letters = letters.large_letters_to(elsewhere.clone());
    let (refused, passed) = give_up(&records, letters).await;
    assert!(passed && refused.is_empty(), "{refused:?}");
    assert_eq!(*locked(&elsewhere.0), [large.len()]);
    assert_eq!(queue.letters().len(), 4, "the small one");
}

/// Exactly as many bytes as the queue takes, and one more.
#[tokio::test]
async fn the_limit_is_that_of_the_queue() {
    let (queue, client) = Queue::start([]).await;
    let letters = SqsLetters::new(&client, STANDARD);
    give_up(&[("a", b"123")], letters.clone()).await;
    let body = queue.requests()[0]["MessageBody"].clone();
    let bytes = body.as_str().unwrap().len();
    for (limit, fits) in [(bytes, true), (bytes - 1, false)] {
        let (refused, passed) = give_up(&[("a", b"123")], letters.clone().max_bytes(limit)).await;
        assert_eq!(passed, fits, "{limit}: {refused:?}");
    }
}

#[tokio::test]
async fn in_a_fifo_queue_the_letters_of_a_key_are_a_group() {
    let (queue, client) = Queue::start([Answer::Refused("ServiceUnavailable")]).await;
    let long = "k".repeat(200);
    let keys = ["customer-7", "customer 7", &long, "ü"];
    let records = keys.map(|key| (key, &b"x"[..]));
    let (refused, passed) = give_up(&records, SqsLetters::new(&client, FIFO)).await;
    assert!(passed && refused.len() == 1, "{refused:?}");
    let requests = queue.requests();
    let of = |name: &str| {
        let text = |request: &Value| request[name].as_str().unwrap().to_owned();
        requests.iter().map(text).collect::<Vec<_>>()
    };
    let (groups, places) = (of("MessageGroupId"), of("MessageDeduplicationId"));
    assert_eq!(groups.len(), 5);
    assert_eq!(&groups[..2], ["customer-7"; 2]);
    assert_eq!(places[0], places[1], "the same letter, sent again");
    for ids in [&groups[1..], &places[1..]] {
        let distinct: std::collections::BTreeSet<_> = ids.iter().collect();
        assert_eq!(distinct.len(), 4, "{ids:?}");
        assert!(
            ids.iter()
                .all(|id| id.len() <= 128 && id.bytes().all(|byte| byte.is_ascii_graphic())),
            "{ids:?}"
        );
    }
}
