use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

use kcl_core::{Clock, SystemClock};

use examples::consume::LeaseTableAt;

use super::bench::{Bench, PATIENCE};
use super::figure::Figure;

const FAILOVER: Duration = Duration::from_secs(10);
const WORKERS: usize = 8;
const SHARDS: u32 = 64;
const WINDOW: Duration = Duration::from_secs(60);
/// What a fleet may read in a minute.
const READ_UNITS: u64 = 1500;

/// Eight workers with 64 idle shards: what they ask of the table in a minute, by kind.
pub(super) async fn measure(bench: &mut Bench) -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut fleet = bench.fleet(FAILOVER, SHARDS, 0).await?;
    for _ in 0..WORKERS {
        fleet.add()?;
    }
    fleet.settle(PATIENCE).await?;
    // What the starts have set in motion is over.
    SystemClock.sleep_until(SystemClock.now() + FAILOVER).await;
    fleet.settle(PATIENCE).await?;
    let from = SystemClock.wall();
    SystemClock.sleep_until(SystemClock.now() + WINDOW).await;
    let to = SystemClock.wall();
    fleet.refresh()?;
    let mut kinds: BTreeMap<&str, u64> = BTreeMap::new();
    let (mut scans, mut read_units) = (Vec::new(), 0.0);
    for member in fleet.members() {
        let calls = member
            .calls
            .iter()
            .filter(|call| (from..to).contains(&call.begun));
        let mut own = 0;
        for call in calls {
            *kinds.entry(&call.op).or_default() += 1;
            own += u64::from(call.op == "scan");
            read_units += call.read_units();
        }
        scans.push(own);
    }
    let kinds: Vec<_> = kinds
        .into_iter()
        .map(|(kind, count)| (kind.to_owned(), count))
        .collect();
    let all: u64 = kinds.iter().map(|(_, count)| count).sum();
    let fleet_wide = "8 workers, 64 idle leases, calls of the table a minute";
    bench.figure(Figure::stated(format!("{fleet_wide}: all"), all as f64));
    for (kind, count) in kinds {
        bench.figure(Figure::stated(format!("  {kind}"), count as f64));
    }
    if matches!(bench.lease_table, Some(LeaseTableAt::Dynamo(_))) {
        let what = "8 workers, 64 idle leases, read units a minute at DynamoDB's prices";
        bench.figure(Figure::counts(what, &[read_units as u64], READ_UNITS));
    }
    // One more where the window begins just before one.
    let limit = WINDOW.as_secs() / (FAILOVER.as_secs() / 5) + 1;
    bench.figure(Figure::counts(
        "full scans a minute, of each worker (one in failover/5)",
        &scans,
        limit,
    ));
    bench.end(fleet, None).await
}
