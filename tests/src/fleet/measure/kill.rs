use std::error::Error;
use std::time::Duration;

use super::bench::{Bench, PATIENCE, random_instant};
use super::figure::Figure;

/// One of four workers with 16 shards is killed: until the first record of every shard that it had.
pub(super) async fn measure(
    bench: &mut Bench,
    failover: Duration,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut fleet = bench.fleet(failover, 16, bench.rate).await?;
    for _ in 0..4 {
        fleet.add()?;
    }
    let mut times = Vec::new();
    let what = format!("kill -9, failover {}", humantime::format_duration(failover));
    for run in 0..bench.runs as usize {
        fleet.settle(PATIENCE).await?;
        random_instant(failover / 3).await;
        let oldest = fleet.working().next().ok_or("no worker works")?;
        fleet.kill(oldest)?;
        let moved = fleet.moved(PATIENCE).await?;
        bench.say(&what, run, moved);
        times.push(moved);
        fleet.add()?;
    }
    let limit = failover + Duration::from_secs(1);
    bench.figure(Figure::times(
        format!("{what}, to the first record of every moved shard"),
        &times,
        limit,
    ));
    bench.end(fleet, None).await
}
