use std::time::Duration;

use aws_sdk_kinesis::Client;
use kcl_core::model::ShardId;
use kcl_core::stream::kinesis::KinesisStream;
use kcl_core::stream::{
    ConsumerArn, Cursor, Error, ErrorKind, FanOut as _, ShardFilter, StartAt, Stream as _,
    WhichConsumer,
};

use super::wire::{Answer, Wire};

const STREAM: &str = "arn:aws:kinesis:eu-west-1:123456789012:stream/orders";

/// The rows of the table in the docs: calls, what came back, kind.
pub(super) fn table() -> Vec<[&'static str; 3]> {
    let rows = include_str!("../../src/stream/kinesis/classify.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("//! | "));
    let cells = rows
        .map(|row| row.split(" | ").collect::<Vec<_>>())
        .filter(|cells| cells[0] != "calls");
    cells.map(|cells| [cells[0], cells[1], cells[2]]).collect()
}

/// The error of the call that the table calls by this letter.
async fn failing(stream: &KinesisStream, call: &str) -> Error {
    let shard = ShardId::from("shardId-000000000000");
    match call {
        "R" => stream
            .read(&Cursor::new(shard, "an-iterator"), 10)
            .await
            .unwrap_err(),
        "I" => stream
            .open(&shard, &StartAt::TrimHorizon)
            .await
            .unwrap_err(),
        "L" => stream
            .list_shards(&ShardFilter::All, None)
            .await
            .unwrap_err(),
        "D" => stream.describe().await.unwrap_err(),
        "S" => subscription_failing(stream, &shard).await,
        "C" => stream
            .describe_consumer(&WhichConsumer::Arn(consumer()))
            .await
            .unwrap_err(),
        "N" => stream.register_consumer("orders-app").await.unwrap_err(),
        "X" => stream.deregister_consumer(&consumer()).await.unwrap_err(),
        other => panic!("the table has an unknown call {other}"),
    }
}

/// An answer of status 200 is a subscription; what is no event is found when the first one is read.
async fn subscription_failing(stream: &KinesisStream, shard: &ShardId) -> Error {
    match stream
        .subscribe(&consumer(), shard, &StartAt::TrimHorizon)
        .await
    {
        Ok(mut subscription) => subscription.next().await.unwrap_err(),
        Err(error) => error,
    }
}

fn consumer() -> ConsumerArn {
    ConsumerArn::new(format!("{STREAM}/consumer/orders-app:1700000000"))
}

/// Answers that a row is about, with what the error has to say.
pub(super) fn answers(sign: &str) -> Vec<(Answer, String)> {
    let bare = |status: u16| {
        let body = "<html>nothing to see</html>".to_owned();
        (
            Answer::Http {
                status,
                date: None,
                body,
            },
            format!("HTTP status {status} without an error code"),
        )
    };
    let named =
        |code: &str, message: &str| (Answer::error(code, message), format!("{code}: {message}"));
    match sign {
        "any other status" => [301, 500, 502, 503, 504].map(bare).to_vec(),
        "a request that cannot be sent" => vec![(
            Answer::NotSendable,
            "cannot be sent: user error: no address".to_owned(),
        )],
        "no answer in time" => vec![(
            Answer::TimedOut,
            "no answer in time: timeout: too slow".to_owned(),
        )],
        "no connection" => vec![(
            Answer::NoConnection,
            "no connection: io error: connection refused".to_owned(),
        )],
        "an answer that cannot be read" => {
            let sevens = [
                "Records",
                "ShardIterator",
                "Shards",
                "StreamDescriptionSummary",
                "ConsumerDescription",
                "Consumer",
            ];
            let sevens = sevens.map(|field| format!("\"{field}\": 7")).join(", ");
            ["{", "[]", "<html>", &format!("{{{sevens}}}")]
                .map(|body| {
                    (
                        Answer::Http {
                            status: 200,
                            date: None,
                            body: body.to_owned(),
                        },
                        "the answer cannot be read".to_owned(),
                    )
                })
                .to_vec()
        }
        "status 400 to 499" => {
            let unknown = named("AnErrorOfTheFuture", "not known yet");
            vec![bare(400), bare(409), bare(499), unknown]
        }
        "status 401 to 407" => vec![bare(401), bare(403), bare(404), bare(407)],
        _ if sign.starts_with("status ") => vec![bare(sign["status ".len()..].parse().unwrap())],
        _ => {
            let texts: Vec<_> = sign.split('`').skip(1).step_by(2).collect();
            match sign.split_once(" saying ") {
                Some(_) => texts[1..]
                    .iter()
                    .map(|begin| named(texts[0], &format!("{begin}: some time")))
                    .collect(),
                None => texts
                    .into_iter()
                    .map(|code| named(code, "what the service says"))
                    .collect(),
            }
        }
    }
}

#[tokio::test]
async fn every_row_of_the_error_table_holds_and_nothing_is_retried() {
    let mut checked = 0;
    for [calls, sign, kind] in table() {
        // A client without its settings is in a test of its own.
        if sign == "a request that cannot be built" {
            continue;
        }
        for call in calls.split(' ') {
            for (answer, says) in answers(sign) {
                // To remove a consumer that is not there, or is being removed, is no failure (a
                // test of its own has those), and what is answered to it is not read.
                if call == "X"
                    && ["ResourceNotFound", "ResourceInUse", "cannot be read"]
                        .iter()
                        .any(|of| sign.contains(of))
                {
                    continue;
                }
                let wire = Wire::answering([answer.clone()]);
                let error = failing(&wire.stream(STREAM), call).await;
                assert_eq!(
                    format!("{:?}", error.kind),
                    kind,
                    "{call} {answer:?}: {error}"
                );
                assert!(error.to_string().contains(&says), "`{error}` says `{says}`");
                let code = says
                    .split_once(": ")
                    .map(|(code, _)| code)
                    .filter(|code| !code.contains(' '));
                assert_eq!(error.code.as_deref(), code, "{error:?}");
                assert!(
                    error.to_string().starts_with(&wire.sent()[0].operation),
                    "{error}"
                );
                assert_eq!(wire.sent().len(), 1);
                checked += 1;
            }
        }
    }
    assert!(
        checked > 150,
        "the table was not found: {checked} answers checked"
    );
}

#[tokio::test]
async fn a_request_that_cannot_be_built_is_fatal() {
    let wire = Wire::default();
    let no_region = wire.settings().region(None).build();
    let stream = KinesisStream::new(&Client::from_conf(no_region), "orders".parse().unwrap());
    for call in ["R", "I", "L", "D", "S", "C", "N", "X"] {
        let error = failing(&stream, call).await;
        assert_eq!(error.kind, ErrorKind::Fatal, "{error}");
    }
    assert!(wire.sent().is_empty());
}

#[tokio::test]
async fn the_iterator_does_not_appear_in_an_error() {
    let message = "Value 'an-iterator' at 'shardIterator' failed to satisfy constraint";
    for answer in [
        Answer::error("ValidationException", message),
        Answer::error("AnErrorOfTheFuture", message),
    ] {
        let error = failing(&Wire::answering([answer]).stream("orders"), "R").await;
        assert!(
            error.to_string().contains("Value '(the iterator)' at"),
            "{error}"
        );
        assert!(!format!("{error:?}").contains("an-iterator"), "{error:?}");
    }
}

#[tokio::test]
async fn what_a_service_says_is_bounded() {
    let error = failing(
        &Wire::answering([Answer::error("AnErrorOfTheFuture", &"x".repeat(1 << 20))])
            .stream("orders"),
        "R",
    )
    .await;
    assert!(error.to_string().len() < 1000);
}

#[tokio::test]
async fn an_error_names_its_cause() {
    let error = failing(
        &Wire::answering([Answer::NoConnection]).stream("orders"),
        "R",
    )
    .await;
    assert!(std::error::Error::source(&error).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_call_without_an_answer_ends_after_30_seconds() {
    let wire = Wire::answering([Answer::Silence]);
    let begun = now();
    let error = failing(&wire.stream("orders"), "R").await;
    assert_eq!(error.kind, ErrorKind::Unreachable);
    assert!(error.to_string().contains("no answer in time"), "{error}");
    assert_eq!((now() - begun).as_secs(), 30);
}

#[tokio::test(start_paused = true)]
async fn a_clients_own_time_limit_is_kept() {
    let wire = Wire::answering([Answer::Silence]);
    let own = aws_sdk_kinesis::config::timeout::TimeoutConfig::builder()
        .operation_timeout(Duration::from_secs(7))
        .build();
    let client = Client::from_conf(wire.settings().timeout_config(own).build());
    let begun = now();
    failing(&KinesisStream::new(&client, "orders".parse().unwrap()), "R").await;
    assert_eq!((now() - begun).as_secs(), 7);
}

#[expect(
    clippy::disallowed_methods,
    reason = "the paused clock of these tests is tokio's"
)]
fn now() -> tokio::time::Instant {
    tokio::time::Instant::now()
}
