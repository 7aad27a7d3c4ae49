use std::error::Error;
use std::time::Duration;

use super::bench::{Bench, PATIENCE, random_instant};
use super::figure::Figure;

const FAILOVER: Duration = Duration::from_secs(10);
const LIMIT: Duration = Duration::from_secs(1);

/// One of four workers with 16 shards is stopped gracefully: until the first record of every shard
/// that it had.
pub(super) async fn measure(bench: &mut Bench) -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut fleet = bench.fleet(FAILOVER, 16, bench.rate).await?;
    for _ in 0..4 {
        fleet.add()?;
    }
    let mut times = Vec::new();
    for run in 0..bench.runs as usize {
        fleet.settle(PATIENCE).await?;
        random_instant(FAILOVER / 3).await;
        let oldest = fleet.working().next().ok_or("no worker works")?;
        fleet.stop(oldest)?;
        let moved = fleet.moved(PATIENCE).await?;
        bench.say("graceful stop", run, moved);
        times.push(moved);
        fleet.add()?;
    }
    let what = "graceful stop";
    bench.figure(Figure::times(
        format!("{what} to the first record of every moved shard"),
        &times,
        LIMIT,
    ));
    bench.end(fleet, Some(what)).await
}
