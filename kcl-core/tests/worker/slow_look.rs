//! Reads that take long: the age of a counter must not begin before the counter was read, and takes do not
//! wait for one another's readings.
#![expect(clippy::disallowed_methods, reason = "waits in real time")]

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::fleet::{F, held, wait_for, wait_for_shares};
use crate::support::{Fault, Fleet, Script, UnrulyTable, locked, one_shard};
use async_trait::async_trait;
use kcl_core::lease::{
    ChangeSignal, Changed, Consistency, Error, Expect, LeaseTable, PageToken, ScanPage, WorkerRow,
    Write,
};
use kcl_core::model::{Lease, LeaseKey, WorkerId};
use kcl_core::stream::memory::MemoryStream;
use kcl_core::worker::Liveness;
use tokio::sync::watch;

/// The same rows, with a scan that takes its time when it is told to.
#[derive(Clone, Debug)]
struct Slow {
    rows: kcl_core::lease::memory::MemoryLeaseTable,
    delay: Arc<Mutex<Option<Duration>>>,
    began: Arc<watch::Sender<Option<Instant>>>,
}

#[async_trait]
impl LeaseTable for Slow {
    async fn get(&self, key: &LeaseKey) -> Result<Option<Lease>, Error> {
        self.rows.get(key).await
    }
    async fn scan(&self, page: Option<&PageToken>, c: Consistency) -> Result<ScanPage, Error> {
        let delay = locked(&self.delay).take();
        if let Some(delay) = delay {
            self.began.send_replace(Some(Instant::now()));
            tokio::time::sleep(delay).await;
        }
        self.rows.scan(page, c).await
    }
    async fn create(&self, lease: &Lease) -> Result<Lease, Error> {
        self.rows.create(lease).await
    }
    async fn update(&self, k: &LeaseKey, w: &Write) -> Result<Lease, Error> {
        self.rows.update(k, w).await
    }
    async fn delete(&self, k: &LeaseKey, e: &Expect) -> Result<(), Error> {
        self.rows.delete(k, e).await
    }
    async fn write_worker(
        &self,
        worker: &WorkerId,
        seen: Option<&WorkerRow>,
        row: Option<&WorkerRow>,
    ) -> Result<(), Error> {
        self.rows.write_worker(worker, seen, row).await
    }
    async fn get_worker(&self, w: &WorkerId) -> Result<Option<WorkerRow>, Error> {
        self.rows.get_worker(w).await
    }
    async fn change_signal(&self) -> Result<Option<ChangeSignal>, Error> {
        self.rows.change_signal().await
    }
    async fn announce(&self, k: &[Changed]) -> Result<(), Error> {
        self.rows.announce(k).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_is_not_taken_while_its_owner_still_hands_out_batches() {
    tokio::join!(
        a_take_waits_for_its_owner(Liveness::Auto),
        a_take_waits_for_its_owner(Liveness::Kcl)
    );
}

async fn a_take_waits_for_its_owner(liveness: Liveness) {
    let (stream, shard, _) = one_shard(1);
    let table = UnrulyTable::new();
    let handed: Arc<Mutex<Vec<Instant>>> = Arc::default();
    let note = Arc::clone(&handed);
    let f = Duration::from_secs(3);
    let a = Fleet::new(&stream, &table)
        .with(move |b| b.failover(f).liveness(liveness))
        .start(Script::process(move |_| {
            locked(&note).push(Instant::now());
            async { Ok(()) }
        }));
    a.seen.wait_for_records(1).await;
    let (puts, to) = (stream.clone(), shard.clone());
    tokio::spawn(async move {
        loop {
            puts.put_to(&to, "k", "v").unwrap();
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    let slow = Slow {
        rows: table.rows.clone(),
        delay: Arc::default(),
        began: Arc::new(watch::Sender::new(None)),
    };
    let mut began = slow.began.subscribe();
    let b = Fleet::new(&stream, &slow)
        .with(|b| b.failover(f))
        .start(Script::default());
    tokio::time::sleep(Duration::from_secs(2)).await;
    *locked(&slow.delay) = Some(Duration::from_millis(500));
    began.wait_for(Option::is_some).await.unwrap();
    // The owner's last write lands while the scan is on its way; after it the owner reaches the
    // table no more.
    tokio::time::sleep(Duration::from_millis(490)).await;
    table.set_rule(|_, _| Fault::LoseWrite);
    table.set_worker_rule(|_| Fault::LoseWrite);
    b.seen.wait_for_initialized(1).await;
    let taken = Instant::now();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let after = locked(&handed).iter().filter(|at| **at > taken).count();
    let longest = locked(&handed)
        .last()
        .map(|at| at.saturating_duration_since(taken));
    assert_eq!(
        after, 0,
        "batches that the old owner handed out after the new one had begun; the last {longest:?} \
         later"
    );
}

/// Each take asks first whether the heartbeats of the dead worker hold the lease: one after the other,
/// forty such questions would take as long as forty readings.
#[tokio::test]
async fn the_takes_of_a_dead_workers_leases_share_its_row() {
    let (stream, table) = (MemoryStream::new("orders", 40), UnrulyTable::new());
    let start = |id: &str| {
        let id = id.to_owned();
        Fleet::new(&stream, &table)
            .with(move |builder| builder.worker_id(id).failover(F))
            .start(Script::default())
    };
    let first = start("first");
    wait_for_shares(&table.rows, &[40]).await;
    first.crash().await;
    table.set_slow_reads(Duration::from_millis(100));
    let before = table.reads_of_worker("first");
    let second = start("second");
    let all = async || held(&table.rows).await.get("second") == Some(&40);
    wait_for("the leases of the dead worker", all).await;
    let reads = table.reads_of_worker("first") - before;
    assert!((1..20).contains(&reads), "{reads} readings");
    second.stop().await.unwrap();
}
