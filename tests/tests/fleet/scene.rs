//! A fleet of a test.

use std::path::PathBuf;
use std::time::Duration;

use examples::consume::LeaseTableAt;
use tempfile::TempDir;
use tests::fleet::{Fleet, Setup, Verdict};

/// Longer than anything here takes on a busy machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);

/// A fleet whose files are gone with it.
pub(crate) struct Scene {
    pub(crate) fleet: Fleet,
    folder: TempDir,
}

impl Scene {
    /// Starts a fleet, and waits until its workers share the shards and read them.
    ///
    /// The failover time (in seconds) is what a test can wait for, and where it waits for none,
    /// much longer than a busy machine makes a process wait: a worker that shows no life for so
    /// long does lose its shards, and what it had in flight comes twice.
    pub(crate) async fn start(failover: u64, shards: u32, workers: usize) -> Self {
        let mut scene = Self::empty(failover, shards).await;
        for _ in 0..workers {
            scene.fleet.add().unwrap();
        }
        scene.settle().await;
        scene
    }

    /// A fleet without workers.
    pub(crate) async fn empty(failover: u64, shards: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let setup = Setup {
            program: program(),
            folder: folder.path().to_owned(),
            lease_table: LeaseTableAt::Sqlite(folder.path().join("leases.sqlite")),
            dynamo_endpoint: None,
            application: "billing".to_owned(),
            failover: Duration::from_secs(failover),
            shards,
            rate: 10,
            links: None,
        };
        Self {
            fleet: Fleet::start(setup).await.unwrap(),
            folder,
        }
    }

    /// Waits until all shards are shared and read.
    pub(crate) async fn settle(&mut self) {
        if let Err(error) = self.fleet.settle(LIMIT).await {
            panic!("{error}: {}", self.describe());
        }
    }

    /// Waits until something is so.
    pub(crate) async fn until(&mut self, what: &str, is: impl FnMut(&Fleet) -> bool) {
        if let Err(error) = self.fleet.until(what, LIMIT, is).await {
            panic!("{error}: {}", self.describe());
        }
    }

    /// Waits until every shard of the process that was stopped or killed last is read by another
    /// one.
    pub(crate) async fn moved(&mut self) {
        if let Err(error) = self.fleet.moved(LIMIT).await {
            panic!("{error}: {}", self.describe());
        }
    }

    /// Waits until so many more records are handed out.
    pub(crate) async fn read(&mut self, more: u64) {
        let goal = self.fleet.history().given() + more;
        self.until("more records are handed out", |fleet| {
            fleet.history().given() >= goal
        })
        .await;
    }

    /// Reads what is left, ends all processes, and judges: nothing is lost or out of order, no
    /// child came before its parents, no stored checkpoint went back, and what came twice came so
    /// for a cause.
    pub(crate) async fn end(&mut self) -> Verdict {
        self.fleet.drain(LIMIT / 4).await.unwrap();
        self.fleet.stop_all().await.unwrap();
        let verdict = self.fleet.verdict().await.unwrap();
        if !verdict.is_right() {
            let faults = verdict
                .went_back
                .iter()
                .chain(&verdict.faults)
                .take(20)
                .cloned()
                .collect::<Vec<_>>()
                .join("\n");
            panic!("{verdict}\n{faults}\n{}", self.describe());
        }
        assert!(verdict.put > 0 && verdict.given == verdict.put, "{verdict}");
        verdict
    }

    /// The owners, what was done, and what the workers said. Keeps the files, to be read.
    fn describe(&mut self) -> String {
        self.folder.disable_cleanup(true);
        let mut text = format!("files in {}\n", self.folder.path().display());
        for (place, member) in self.fleet.members().iter().enumerate() {
            let owned = self.fleet.owned_by(place);
            text += &format!(
                "{} {:?} has {owned:?} and said {:?}\n",
                member.name,
                member.state,
                member.said()
            );
        }
        for deed in self.fleet.deeds() {
            text += &format!(
                "{} {:?} {:?}\n",
                deed.at,
                deed.what,
                self.fleet.members()[deed.member].name
            );
        }
        text
    }
}

/// The program that is tested.
pub(crate) fn program() -> PathBuf {
    env!("CARGO_BIN_EXE_fleet").into()
}
