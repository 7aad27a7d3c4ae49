use super::*;

/// It costs no write of its own, and a shard that waits for its parents says nothing.
#[tokio::test(start_paused = true)]
async fn what_the_shard_carries_goes_along_with_writes() {
    let bench = Bench::new().await;
    bench.at(9.0).await;
    assert_eq!(bench.row().await.throughput, None, "nothing was read");
    bench.held.turns(bench.clock.clone()).read();
    for second in 10..30_u32 {
        bench.at(f64::from(second)).await;
        bench.held.took_in(10_000, 5, Some(Duration::ZERO));
    }
    let steady = Throughput {
        bytes: 10_000,
        records: 5,
    };
    let is_near = |row: &Lease| {
        row.throughput.is_some_and(|now| {
            now.bytes.abs_diff(steady.bytes) < 2000 && now.records.abs_diff(steady.records) <= 1
        })
    };
    let row = bench.row().await;
    assert!(is_near(&row), "{:?}", row.throughput);
    assert_eq!(row.counter, 9, "as often as without");

    // No answer to the checkpoint is heard, and the renewal after it carries something else.
    bench.table.set(|change| match change {
        Change::Checkpoint { .. } => Fate::AnswerLost,
        _ => Fate::Answered,
    });
    let orders = bench.held.orders();
    orders.checkpoint(position(7)).await.unwrap_err();
    bench.at(60.0).await;
    let row = bench.row().await;
    assert_eq!(row.checkpoint, position(7).into());
    let carried = row.throughput.map(|now| now.bytes);
    assert!(carried < Some(steady.bytes), "{carried:?}");
    assert!(bench.is_valid());

    // The next owner goes on from it.
    bench.held.leave(Leave::Free).await.unwrap();
    assert!(bench.row().await.throughput.is_some());
}
