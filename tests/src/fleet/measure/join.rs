use std::error::Error;
use std::time::Duration;

use kcl_core::model::Timestamp;

use crate::fleet::fleet::{Fleet, span};

use super::bench::{Bench, PATIENCE, random_instant};
use super::figure::Figure;

const FAILOVER: Duration = Duration::from_secs(10);
const SHARDS: u32 = 64;
/// Three rounds of 2 s.
const LIMIT: Duration = Duration::from_secs(6);
/// What a fourth worker has of 64 shards.
const MOVES: u64 = 16;

/// A worker joins three others: from its start until all have as many as they should, and how many
/// leases have changed hands.
pub(super) async fn measure(bench: &mut Bench) -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut fleet = bench.fleet(FAILOVER, SHARDS, bench.rate).await?;
    for _ in 0..3 {
        fleet.add()?;
    }
    let (mut times, mut moves) = (Vec::new(), Vec::new());
    for run in 0..bench.runs as usize {
        fleet.settle(PATIENCE).await?;
        random_instant(FAILOVER / 3).await;
        let joined = fleet.add()?;
        let since = fleet.started(joined);
        fleet
            .until("the new worker has its share", PATIENCE, Fleet::is_balanced)
            .await?;
        let balanced = span(since, fleet.seen_at());
        // Those who go on asking for more would be seen by then.
        fleet.settle(PATIENCE).await?;
        random_instant(FAILOVER / 5).await;
        fleet.settle(PATIENCE).await?;
        let moved = tenancies_since(&fleet, since);
        bench.say(&format!("join, {moved} moves"), run, balanced);
        times.push(balanced);
        moves.push(moved);
        fleet.stop(joined)?;
        fleet.moved(PATIENCE).await?;
    }
    let what = "a worker joins three, 64 shards";
    bench.figure(Figure::times(
        format!("{what}: balanced (3 rounds of 2 s)"),
        &times,
        LIMIT,
    ));
    bench.figure(Figure::counts(format!("{what}: moves"), &moves, MOVES));
    bench.end(fleet, Some(what)).await
}

/// How many leases were taken or claimed.
fn tenancies_since(fleet: &Fleet, since: Timestamp) -> u64 {
    let calls = fleet.members().iter().flat_map(|member| &member.calls);
    calls
        .filter(|call| call.ended >= since && call.begins_tenancy())
        .count() as u64
}
