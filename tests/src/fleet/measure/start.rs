use std::error::Error;
use std::time::Duration;

use crate::fleet::fleet::span;

use super::bench::{Bench, PATIENCE};
use super::figure::Figure;

const FAILOVER: Duration = Duration::from_secs(10);
const LIMIT: Duration = Duration::from_secs(2);

/// Two workers start at the same instant on an empty table: until both have had a record.
pub(super) async fn measure(bench: &mut Bench) -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut times = Vec::new();
    for run in 0..bench.runs as usize {
        let mut fleet = bench.fleet(FAILOVER, 8, bench.rate).await?;
        fleet
            .until("records are there", PATIENCE, |fleet| {
                fleet.producer().count() >= 80
            })
            .await?;
        let both = [fleet.add()?, fleet.add()?];
        let work = |place: usize| {
            move |fleet: &crate::fleet::Fleet| fleet.history().first_of(place).is_some()
        };
        for place in both {
            fleet
                .until("both workers have had a record", PATIENCE, work(place))
                .await?;
        }
        let first = both
            .iter()
            .filter_map(|place| fleet.history().first_of(*place))
            .max()
            .ok_or("no record")?;
        let time = span(fleet.started(both[0]), first);
        bench.say("two start at once", run, time);
        times.push(time);
        bench.end(fleet, None).await?;
    }
    bench.figure(Figure::times(
        "two workers start at once on an empty table: both read",
        &times,
        LIMIT,
    ));
    Ok(())
}
