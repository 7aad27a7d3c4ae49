use std::time::Duration;

use aws_sdk_kinesis::config::timeout::TimeoutConfig;
use futures_util::future::join_all;
use kcl_core::stream::kinesis::KinesisStream;
use kcl_core::stream::kinesis::http::Http2Client;
use kcl_core::stream::{ErrorKind, Subscription};

use super::client::{config, next, pause, settings, soon, stream, stream_with, subscribe, within};
use super::events;
use super::raw::{Listening, PING, SETTINGS, WINDOW_UPDATE};

const EVERY: Duration = Duration::from_millis(100);
const LIMIT: Duration = Duration::from_millis(300);

fn quick(stream: KinesisStream) -> KinesisStream {
    stream.subscribe_over(Http2Client::new().with_settings(settings(|settings| {
        settings.ping_every = EVERY;
        settings.ping_limit = LIMIT;
    })))
}

#[tokio::test]
async fn a_silent_socket_is_noticed_and_replaced() {
    let (listening, at) = Listening::new().await;
    let stream = quick(stream(at));
    let serve = async {
        let (mut raw, on) = listening.granted().await;
        raw.data(on, &[events::initial(), events::one(1, b"a")].concat())
            .await;
        // From here on it neither reads nor writes, and does not close the socket.
        let (mut next, on) = listening.granted().await;
        next.data(on, &[events::initial(), events::one(2, b"b")].concat())
            .await;
        next.be_polite().await;
        drop(raw);
    };
    let reading = async {
        let mut subscription = subscribe(&stream, "shardId-0").await.unwrap();
        assert_eq!(
            next(&mut subscription).await.unwrap(),
            Some(vec![b"a".to_vec()])
        );
        let error = next(&mut subscription).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unreachable);
        assert!(
            error
                .to_string()
                .contains("the server is silent: a ping is without an answer for 300ms"),
            "{error}"
        );
        let mut again = subscribe(&stream, "shardId-0").await.unwrap();
        assert_eq!(next(&mut again).await.unwrap(), Some(vec![b"b".to_vec()]));
        drop((again, stream));
    };
    soon(futures_util::future::join(reading, serve)).await;
}

#[tokio::test]
async fn a_shard_without_events_is_no_dead_connection() {
    let (listening, at) = Listening::new().await;
    let stream = quick(stream(at));
    let serve = async {
        let (mut raw, on) = listening.granted().await;
        raw.data(on, &events::initial()).await;
        // Five pings, each answered.
        let mut pings = 0;
        while pings < 5 {
            let frame = raw.frame().await.unwrap();
            if frame.kind == PING && frame.flags == 0 {
                pings += 1;
                raw.send(PING, 1, 0, &frame.payload).await;
            }
        }
        raw.data(on, &events::one(1, b"a")).await;
        raw.be_polite().await;
    };
    let reading = async {
        let mut subscription = subscribe(&stream, "shardId-0").await.unwrap();
        assert_eq!(
            next(&mut subscription).await.unwrap(),
            Some(vec![b"a".to_vec()])
        );
        drop((subscription, stream));
    };
    soon(futures_util::future::join(reading, serve)).await;
}

#[tokio::test]
async fn events_show_that_a_server_lives_which_answers_no_pings() {
    let (listening, at) = Listening::new().await;
    let stream = quick(stream(at));
    let serve = async {
        let (mut raw, on) = listening.granted().await;
        raw.data(on, &events::initial()).await;
        for number in 1..=15 {
            raw.data(on, &events::one(number, b"a")).await;
            pause(EVERY).await;
        }
    };
    let reading = async {
        let mut subscription = subscribe(&stream, "shardId-0").await.unwrap();
        for _ in 1..=15 {
            assert_eq!(
                next(&mut subscription).await.unwrap(),
                Some(vec![b"a".to_vec()])
            );
        }
        drop((subscription, stream));
    };
    soon(futures_util::future::join(reading, serve)).await;
}

fn soon_suspicious(stream: KinesisStream) -> KinesisStream {
    stream.subscribe_over(
        Http2Client::new().with_settings(settings(|settings| settings.silent_limit = LIMIT)),
    )
}

/// It goes by another connection.
#[tokio::test]
async fn after_a_long_silence_the_next_subscription_is_elsewhere() {
    let (listening, at) = Listening::new().await;
    let stream = soon_suspicious(stream(at));
    let serve = async {
        let (mut raw, silent) = listening.granted().await;
        raw.data(silent, &[events::initial(), events::one(1, b"a")].concat())
            .await;
        let other = raw.request().await.unwrap();
        raw.head(other).await;
        raw.data(other, &events::initial()).await;
        // Whatever is answered here, nothing more comes by the first.
        let (mut next, on) = tokio::select! {
            biased;
            next = listening.granted() => next,
            () = raw.be_polite() => panic!("the other subscription goes on"),
        };
        next.data(on, &[events::initial(), events::one(2, b"b")].concat())
            .await;
        raw.data(other, &events::one(3, b"c")).await;
        // Until it is closed: with its last subscription.
        raw.be_polite().await;
        next
    };
    let reading = async {
        let mut silent = subscribe(&stream, "shardId-0").await.unwrap();
        assert_eq!(next(&mut silent).await.unwrap(), Some(vec![b"a".to_vec()]));
        let mut other = subscribe(&stream, "shardId-1").await.unwrap();
        nothing_comes(&mut silent, 2 * LIMIT).await;
        drop(silent);
        let mut again = subscribe(&stream, "shardId-0").await.unwrap();
        assert_eq!(next(&mut again).await.unwrap(), Some(vec![b"b".to_vec()]));
        assert_eq!(next(&mut other).await.unwrap(), Some(vec![b"c".to_vec()]));
        again
    };
    within(
        Duration::from_secs(20),
        futures_util::future::join(reading, serve),
    )
    .await;
}

/// It goes by another connection; so it does when a first event fails to come.
#[tokio::test]
async fn after_a_call_without_an_answer_the_next_is_elsewhere() {
    let (listening, at) = Listening::new().await;
    let limits = TimeoutConfig::builder()
        .operation_timeout(2 * LIMIT)
        .build();
    let stream = soon_suspicious(stream_with(
        config(&format!("http://{at}")).timeout_config(limits),
    ));
    let serve = async {
        let mut unanswered = listening.accept().await;
        unanswered.request().await.unwrap();
        unanswered.be_polite().await;
        let (mut empty, _) = listening.granted().await;
        empty.be_polite().await;
        let (mut raw, on) = listening.granted().await;
        raw.data(on, &[events::initial(), events::one(1, b"a")].concat())
            .await;
        raw
    };
    let reading = async {
        for _ in ["no head", "no event"] {
            let error = subscribe(&stream, "shardId-0").await.unwrap_err();
            assert!(error.to_string().contains("no answer in time"), "{error}");
        }
        let mut subscription = subscribe(&stream, "shardId-0").await.unwrap();
        assert_eq!(
            next(&mut subscription).await.unwrap(),
            Some(vec![b"a".to_vec()])
        );
        subscription
    };
    within(
        Duration::from_secs(20),
        futures_util::future::join(reading, serve),
    )
    .await;
}

#[tokio::test]
async fn a_reader_that_has_stopped_is_no_silence() {
    let (listening, at) = Listening::new().await;
    let stream = soon_suspicious(stream(at));
    let (waited, has_waited) = tokio::sync::oneshot::channel();
    let serve = async {
        let (mut raw, on) = listening.granted().await;
        raw.data(on, &events::initial()).await;
        has_waited.await.unwrap();
        raw.data(on, &events::one(1, b"a")).await;
        let on = raw.request().await.unwrap();
        raw.head(on).await;
        raw.data(on, &[events::initial(), events::one(2, b"b")].concat())
            .await;
        raw
    };
    let reading = async {
        let mut stopped = subscribe(&stream, "shardId-0").await.unwrap();
        nothing_comes(&mut stopped, LIMIT / 10).await;
        waited.send(()).unwrap();
        // It does not look whether something has come.
        pause(2 * LIMIT).await;
        drop(stopped);
        let mut again = subscribe(&stream, "shardId-0").await.unwrap();
        assert_eq!(next(&mut again).await.unwrap(), Some(vec![b"b".to_vec()]));
        again
    };
    within(
        Duration::from_secs(20),
        futures_util::future::join(reading, serve),
    )
    .await;
}

async fn nothing_comes(subscription: &mut Box<dyn Subscription>, span: Duration) {
    tokio::select! {
        biased;
        event = subscription.next() => panic!("{event:?}"),
        () = pause(span) => {}
    }
}

#[tokio::test]
async fn a_server_that_accepts_and_says_nothing_is_late() {
    let (listening, at) = Listening::new().await;
    let limits = TimeoutConfig::builder()
        .connect_timeout(Duration::from_millis(200))
        .build();
    let stream = stream_with(config(&format!("http://{at}")).timeout_config(limits));
    let reading = subscribe(&stream, "shardId-0");
    let (error, _socket) = soon(futures_util::future::join(
        reading,
        listening.accept_in_silence(),
    ))
    .await;
    let error = error.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unreachable);
    assert!(
        error
            .to_string()
            .contains("did not begin to speak HTTP/2 within 200ms"),
        "{error}"
    );
}

#[tokio::test]
async fn who_waits_for_a_connection_learns_at_once_that_there_is_none() {
    let (_listening, at) = Listening::new().await;
    let limits = TimeoutConfig::builder()
        .connect_timeout(Duration::from_millis(500))
        .build();
    let stream = stream_with(config(&format!("http://{at}")).timeout_config(limits));
    // One after the other they would take a minute.
    let all = join_all((0..120).map(async |_| subscribe(&stream, "shardId-0").await.unwrap_err()));
    for error in within(Duration::from_secs(20), all).await {
        assert!(
            error.to_string().contains("did not begin to speak HTTP/2"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn nobody_listening_is_no_connection() {
    let (listening, at) = Listening::new().await;
    drop(listening);
    let error = subscribe(&stream(at), "shardId-0").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unreachable);
    assert!(
        error
            .to_string()
            .starts_with("SubscribeToShard: no connection: "),
        "{error}"
    );
}

#[tokio::test]
async fn a_connection_that_carries_nothing_is_closed() {
    let (listening, at) = Listening::new().await;
    let stream = quick(stream(at));
    let serve = async {
        let (mut raw, on) = listening.granted().await;
        raw.data(on, &[events::initial(), events::one(1, b"a")].concat())
            .await;
        raw.be_polite().await;
    };
    let reading = async {
        let mut subscription = subscribe(&stream, "shardId-0").await.unwrap();
        next(&mut subscription).await.unwrap();
        drop(subscription);
    };
    // The server's side ends, though the stream with its client lives on.
    soon(futures_util::future::join(reading, serve)).await;
    drop(stream);
}

#[tokio::test]
async fn a_connections_window_is_the_sum_of_its_streams_windows() {
    let (listening, at) = Listening::new().await;
    let stream = stream(at);
    let serve = async {
        let mut raw = listening.accept().await;
        let mut of_a_stream = None;
        loop {
            let frame = raw.frame().await.unwrap();
            match frame.kind {
                SETTINGS if frame.flags == 0 => {
                    let settings = frame.payload.chunks(6).map(|pair| {
                        let number = u16::from_be_bytes([pair[0], pair[1]]);
                        (
                            number,
                            u32::from_be_bytes([pair[2], pair[3], pair[4], pair[5]]),
                        )
                    });
                    of_a_stream = settings
                        .into_iter()
                        .find(|(number, _)| *number == 4)
                        .map(|(_, value)| value);
                }
                WINDOW_UPDATE if frame.stream == 0 => {
                    let more = u32::from_be_bytes(frame.payload.try_into().unwrap());
                    return (of_a_stream.unwrap(), 65_535 + more, raw);
                }
                _ => {}
            }
        }
    };
    let (of_a_stream, of_the_connection, _raw) = tokio::select! {
        biased;
        windows = serve => windows,
        answer = subscribe(&stream, "shardId-0") => panic!("{answer:?}"),
    };
    println!("{of_a_stream} bytes a stream, {of_the_connection} bytes the connection");
    assert_eq!(
        (of_a_stream, of_the_connection),
        (512 << 10, 50 * (512 << 10))
    );
}
