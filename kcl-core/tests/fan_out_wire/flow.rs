use futures_util::future::join_all;

use super::client::{next, soon, stream, subscribe, windows_of};
use super::events;
use super::served::{nothing_taken, pushing};

const WINDOW: usize = 64 << 10;
const STREAMS: usize = 50;
const EVENTS: u32 = 8;
const RECORD: usize = 30_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopped_readers_take_a_window_each_and_nothing_from_others() {
    let taken = nothing_taken(STREAMS);
    let all = (1..=EVENTS)
        .map(|number| events::one(number, &vec![b'x'; RECORD]))
        .collect::<Vec<_>>()
        .concat();
    let server = pushing(all.clone().into(), &taken).await;
    let stream = stream(server.at).subscribe_over(windows_of(WINDOW));

    let shards: Vec<String> = (0..STREAMS).map(|number| number.to_string()).collect();
    let subscriptions = join_all(shards.iter().map(|shard| subscribe(&stream, shard))).await;
    let mut subscriptions: Vec<_> = subscriptions.into_iter().map(Result::unwrap).collect();
    assert_eq!(*server.carried.borrow(), [STREAMS]);

    // All but the last have stopped before they began.
    let going = subscriptions.last_mut().unwrap();
    for _ in 1..=EVENTS {
        assert_eq!(next(going).await.unwrap().unwrap()[0].len(), RECORD);
    }
    for stopped in &taken[..STREAMS - 1] {
        let taken = *stopped.lock().unwrap();
        assert!(
            taken <= WINDOW,
            "{taken} bytes for a reader that has stopped"
        );
    }
    // What has stopped goes on where it was.
    let rest = subscriptions[..STREAMS - 1]
        .iter_mut()
        .map(async |subscription| {
            for _ in 1..=EVENTS {
                assert_eq!(next(subscription).await.unwrap().unwrap()[0].len(), RECORD);
            }
        });
    soon(join_all(rest)).await;
    assert!(
        taken
            .iter()
            .all(|taken| *taken.lock().unwrap() == all.len())
    );
}
