use aws_smithy_types::base64;
use futures_util::future::{join, join_all};
use kcl_core::stream::kinesis::KinesisStream;
use kcl_core::stream::kinesis::http::Http2Client;
use kcl_core::stream::{Error, ErrorKind};

use serde_json::json;

use super::client::{next, soon, stream, subscribe};
use super::events;
use super::raw::{DATA, END_STREAM, INTERNAL_ERROR, Listening, NO_ERROR, Raw};

/// All that comes before the failure, and the failure, if it was one.
async fn read(stream: &KinesisStream) -> (Vec<Vec<u8>>, Option<Error>) {
    let mut seen = Vec::new();
    let mut subscription = match subscribe(stream, "shardId-0").await {
        Ok(subscription) => subscription,
        Err(error) => return (seen, Some(error)),
    };
    loop {
        match next(&mut subscription).await {
            Ok(Some(records)) => seen.extend(records),
            Ok(None) => return (seen, None),
            Err(error) => return (seen, Some(error)),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Cut {
    Reset,
    GoAway,
    Closed,
    Dropped,
    /// The end, properly, in the midst of an event.
    Ended,
}

async fn cut(mut raw: Raw, on: u32, how: Cut) {
    match how {
        Cut::Reset => {
            raw.reset(on, INTERNAL_ERROR).await;
            raw.be_polite().await;
        }
        Cut::GoAway => {
            raw.go_away(0, INTERNAL_ERROR).await;
            raw.close().await;
        }
        Cut::Ended => {
            raw.send(DATA, END_STREAM, on, &[]).await;
            raw.be_polite().await;
        }
        Cut::Closed => raw.close().await,
        Cut::Dropped => drop(raw),
    }
}

#[tokio::test]
async fn a_break_at_any_byte_is_an_error_after_all_whole_events() {
    let short = |sequence: u32, data: &[u8]| {
        let record = json!({ "SequenceNumber": sequence.to_string(), "Data": base64::encode(data), "PartitionKey": "k" });
        events::event(
            &json!({ "Records": [record], "ContinuationSequenceNumber": sequence.to_string(), "MillisBehindLatest": 0 }),
        )
    };
    let messages = [events::initial(), short(1, b"a"), short(2, b"b")];
    let bytes = messages.concat();
    let ends: Vec<usize> = messages
        .iter()
        .scan(0, |sum, message| {
            *sum += message.len();
            Some(*sum)
        })
        .collect();
    let (bytes, ends) = (&bytes, &ends);
    soon(join_all(
        [
            Cut::Reset,
            Cut::GoAway,
            Cut::Closed,
            Cut::Dropped,
            Cut::Ended,
        ]
        .map(async |how| {
            let (listening, at) = Listening::new().await;
            let client = stream(at);
            for length in 0..=bytes.len() {
                // None knows the other's connections.
                let stream = client.clone().subscribe_over(Http2Client::new());
                let serve = async {
                    let (mut raw, on) = listening.granted().await;
                    raw.data(on, &bytes[..length]).await;
                    cut(raw, on, how).await;
                };
                let reading = async {
                    let read = read(&stream).await;
                    drop(stream);
                    read
                };
                let ((seen, error), ()) = join(reading, serve).await;
                let whole = ends[1..].iter().filter(|end| **end <= length).count();
                assert_eq!(seen, [b"a", b"b"][..whole], "{how:?} after {length} bytes");
                match error {
                    Some(error) => assert_eq!(
                        error.kind,
                        ErrorKind::Unreachable,
                        "{how:?} after {length} bytes: {error}"
                    ),
                    // The SDK sees no difference between an end and one right behind the first 12
                    // bytes of a message.
                    None => assert_eq!(how, Cut::Ended, "after {length} bytes"),
                }
            }
        }),
    ))
    .await;
}

#[tokio::test]
async fn a_stream_that_is_reset_without_an_error_is_at_its_end() {
    let (listening, at) = Listening::new().await;
    let stream = stream(at);
    let serve = async {
        let (mut raw, on) = listening.granted().await;
        raw.data(on, &[events::initial(), events::one(1, b"a")].concat())
            .await;
        raw.reset(on, NO_ERROR).await;
        raw.be_polite().await;
    };
    let reading = async {
        let (seen, error) = read(&stream).await;
        assert_eq!((seen, error.is_none()), (vec![b"a".to_vec()], true));
        drop(stream);
    };
    soon(join(reading, serve)).await;
}

#[tokio::test]
async fn a_reset_stream_leaves_the_others_of_its_connection_alone() {
    let (listening, at) = Listening::new().await;
    let stream = stream(at);
    let serve = async {
        let mut raw = listening.accept().await;
        for data in [b"a", b"b"] {
            let on = raw.request().await.unwrap();
            raw.head(on).await;
            raw.data(on, &[events::initial(), events::one(1, data)].concat())
                .await;
        }
        raw.reset(1, INTERNAL_ERROR).await;
        raw.data(3, &events::one(2, b"c")).await;
        raw.be_polite().await;
    };
    let reading = async {
        let mut first = subscribe(&stream, "first").await.unwrap();
        let mut second = subscribe(&stream, "second").await.unwrap();
        assert_eq!(next(&mut first).await.unwrap(), Some(vec![b"a".to_vec()]));
        assert_eq!(
            next(&mut first).await.unwrap_err().kind,
            ErrorKind::Unreachable
        );
        assert_eq!(next(&mut second).await.unwrap(), Some(vec![b"b".to_vec()]));
        assert_eq!(next(&mut second).await.unwrap(), Some(vec![b"c".to_vec()]));
        drop((first, second, stream));
    };
    soon(join(reading, serve)).await;
}

#[tokio::test]
async fn a_closing_connection_serves_its_streams_and_gets_no_new_ones() {
    let (listening, at) = Listening::new().await;
    let stream = stream(at);
    let serve = async {
        let (mut old, on) = listening.granted().await;
        old.go_away(on, NO_ERROR).await;
        old.data(on, &[events::initial(), events::one(1, b"a")].concat())
            .await;
        let (mut new, on) = listening.granted().await;
        new.data(on, &[events::initial(), events::one(1, b"b")].concat())
            .await;
        old.data(1, &events::one(2, b"c")).await;
        join(old.be_polite(), new.be_polite()).await;
    };
    let reading = async {
        let mut first = subscribe(&stream, "first").await.unwrap();
        assert_eq!(next(&mut first).await.unwrap(), Some(vec![b"a".to_vec()]));
        let mut second = subscribe(&stream, "second").await.unwrap();
        assert_eq!(next(&mut second).await.unwrap(), Some(vec![b"b".to_vec()]));
        assert_eq!(next(&mut first).await.unwrap(), Some(vec![b"c".to_vec()]));
        drop((first, second, stream));
    };
    soon(join(reading, serve)).await;
}
