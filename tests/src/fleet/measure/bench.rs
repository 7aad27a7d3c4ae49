use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::PathBuf;
use std::time::Duration;

use kcl_core::BoxError;
use kcl_core::{Clock, SystemClock};
use serde_json::json;

use crate::fleet::fleet::{Fleet, Setup};
use crate::fleet::options::{Options, Part};
use crate::fleet::signals::Signals;
use examples::consume::LeaseTableAt;
use examples::exit::FAILED;

use super::figure::Figure;
use super::{cost, join, kill, start, stop};

/// What the parts of a measurement share.
#[derive(Debug)]
pub(super) struct Bench {
    /// How often each is measured.
    pub(super) runs: u32,
    /// Records a second and shard.
    pub(super) rate: u64,
    folder: PathBuf,
    /// Where the leases of its fleets are: each has a file or a table of its own.
    pub(super) lease_table: Option<LeaseTableAt>,
    dynamo_endpoint: Option<String>,
    /// Tells the tables of this measurement from those of others.
    begun: i64,
    fleets: u32,
    /// What was measured so far.
    figures: Vec<Figure>,
}

/// How long a fleet may take to come to rest before a measurement is given up.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// Measures what the options say and prints it. Returns the exit code.
///
/// # Errors
/// A fleet cannot be started, or does not come to rest.
pub async fn measure(options: &Options, parts: &[Part]) -> Result<u8, BoxError> {
    let mut signals = Signals::catch()?;
    let temporary = tempfile::tempdir()?;
    let folder = options
        .folder
        .clone()
        .unwrap_or_else(|| temporary.path().to_owned());
    let mut bench = Bench {
        runs: options.runs,
        rate: options.rate,
        folder,
        lease_table: options.lease_table.clone(),
        dynamo_endpoint: options.dynamo_endpoint.clone(),
        begun: SystemClock.wall().as_millis(),
        fleets: 0,
        figures: Vec::new(),
    };
    let begun = (SystemClock.now(), load());
    println!("{}", Figure::head());
    let ended = tokio::select! {
        biased;
        signal = signals.next() => Err(format!("{signal}: ended").into()),
        ended = bench.measure(parts) => ended,
    };
    let (elapsed, load) = (SystemClock.now().since(begun.0), (begun.1, load()));
    let holds = ended.is_ok() && bench.figures.iter().all(Figure::holds);
    println!(
        "\n{} in {:.0} s; machine load (1, 5, 15 min): {} before, {} after",
        if holds {
            "Every limit holds"
        } else {
            "NOT every limit holds"
        },
        elapsed.as_secs_f64(),
        load.0,
        load.1
    );
    let figures: Vec<_> = bench.figures.iter().map(Figure::json).collect();
    println!(
        "{}",
        json!({ "figures": figures, "holds": holds, "load_before": load.0, "load_after": load.1 })
    );
    ended?;
    Ok(if holds { 0 } else { FAILED })
}

impl Bench {
    async fn measure(&mut self, parts: &[Part]) -> Result<(), BoxError> {
        let mut parts = parts.to_vec();
        parts.sort_unstable();
        parts.dedup();
        for part in parts {
            match part {
                Part::Stop => stop::measure(self).await?,
                Part::Kill => {
                    kill::measure(self, Duration::from_secs(3)).await?;
                    kill::measure(self, Duration::from_secs(10)).await?;
                }
                Part::Join => join::measure(self).await?,
                Part::Start => start::measure(self).await?,
                Part::Cost => cost::measure(self).await?,
            }
        }
        Ok(())
    }

    /// A fleet without workers, in a folder of its own.
    pub(super) async fn fleet(
        &mut self,
        failover: Duration,
        shards: u32,
        rate: u64,
    ) -> Result<Fleet, BoxError> {
        self.fleets += 1;
        let folder = self.folder.join(format!("fleet-{:03}", self.fleets));
        std::fs::create_dir_all(&folder)?;
        let application = format!("measure-{}-{}", self.begun, self.fleets);
        let lease_table = match &self.lease_table {
            Some(LeaseTableAt::Dynamo(None)) => LeaseTableAt::Dynamo(None),
            Some(LeaseTableAt::Dynamo(Some(table))) => {
                LeaseTableAt::Dynamo(Some(format!("{table}-{}-{}", self.begun, self.fleets)))
            }
            _ => LeaseTableAt::Sqlite(folder.join("leases.sqlite")),
        };
        let (program, dynamo_endpoint) = (std::env::current_exe()?, self.dynamo_endpoint.clone());
        Fleet::start(Setup {
            program,
            folder,
            lease_table,
            dynamo_endpoint,
            application,
            failover,
            shards,
            rate,
            links: None,
        })
        .await
    }

    /// Prints a figure and keeps it.
    pub(super) fn figure(&mut self, figure: Figure) {
        println!("{figure}");
        self.figures.push(figure);
    }

    /// Says how far a measurement is.
    pub(super) fn say(&self, what: &str, run: usize, value: Duration) {
        eprintln!(
            "  {what}, {} of {}: {:.2} s",
            run + 1,
            self.runs,
            value.as_secs_f64()
        );
    }

    /// Reads what is left, ends all processes and judges: the duplicates are a figure (named, if
    /// there is a name for it), and anything else that is wrong is an error.
    pub(super) async fn end(
        &mut self,
        mut fleet: Fleet,
        what: Option<&str>,
    ) -> Result<(), BoxError> {
        fleet
            .drain(fleet.failover() * 2 + Duration::from_secs(10))
            .await?;
        fleet.stop_all().await?;
        let verdict = fleet.verdict().await?;
        if let Some(what) = what {
            self.figure(Figure::counts(
                format!("{what}: duplicates"),
                &[verdict.duplicates.values().sum()],
                0,
            ));
        }
        if !verdict.is_right()
            && (what.is_none()
                || verdict.lost + verdict.out_of_order > 0
                || !verdict.went_back.is_empty())
        {
            let faults = verdict.went_back.iter().chain(&verdict.faults).take(5);
            return Err(format!(
                "{verdict}: {}",
                faults.cloned().collect::<Vec<_>>().join("; ")
            )
            .into());
        }
        let alone: Vec<_> = fleet
            .ended_alone()
            .map(|place| fleet.members()[place].said())
            .collect();
        if alone.is_empty() {
            Ok(())
        } else {
            Err(format!("workers ended unexpectedly: {}", alone.join("; ")).into())
        }
    }
}

/// Waits for an instant that is drawn at random from this span.
pub(super) async fn random_instant(span: Duration) {
    // The only source of chance in the standard library.
    let chance = RandomState::new().build_hasher().finish();
    let part = chance as f64 / u64::MAX as f64;
    SystemClock
        .sleep_until(SystemClock.now() + span.mul_f64(part))
        .await;
}

/// The load of the machine, where it tells.
fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let words: Vec<_> = text.split_ascii_whitespace().take(3).collect();
    if words.is_empty() {
        "unknown".to_owned()
    } else {
        words.join(" ")
    }
}
