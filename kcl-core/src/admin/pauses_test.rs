use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use async_trait::async_trait;

use crate::MemoryLeaseTable;
use crate::admin::at_once::AT_ONCE;
use crate::admin::{assign, drain, left_behind, moved, unassign, undrain};
use crate::lease::{Consistency, Expect, PageToken, ScanPage, WorkerRow};
use crate::model::Checkpoint;

use super::*;

/// A table that counts how many writes are under way at the same time.
#[derive(Debug, Default)]
struct Counting {
    table: MemoryLeaseTable,
    under_way: AtomicUsize,
    most: AtomicUsize,
    writes: AtomicUsize,
    announced: Mutex<Vec<Changed>>,
}

/// Lets everything else of this task go on once.
async fn give_way() {
    let mut given = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut given, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[async_trait]
impl LeaseTable for Counting {
    async fn get(&self, key: &LeaseKey) -> Result<Option<Lease>, Error> {
        self.table.get(key).await
    }

    async fn scan(&self, from: Option<&PageToken>, how: Consistency) -> Result<ScanPage, Error> {
        self.table.scan(from, how).await
    }

    async fn create(&self, lease: &Lease) -> Result<Lease, Error> {
        self.table.create(lease).await
    }

    async fn update(&self, key: &LeaseKey, write: &Write) -> Result<Lease, Error> {
        self.writes.fetch_add(1, Ordering::SeqCst);
        let under_way = self.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(under_way, Ordering::SeqCst);
        give_way().await;
        self.under_way.fetch_sub(1, Ordering::SeqCst);
        self.table.update(key, write).await
    }

    async fn delete(&self, key: &LeaseKey, expect: &Expect) -> Result<(), Error> {
        self.table.delete(key, expect).await
    }

    async fn write_worker(
        &self,
        worker: &WorkerId,
        seen: Option<&WorkerRow>,
        row: Option<&WorkerRow>,
    ) -> Result<(), Error> {
        self.table.write_worker(worker, seen, row).await
    }

    async fn announce(&self, changed: &[Changed]) -> Result<(), Error> {
        self.announced.lock().unwrap().extend_from_slice(changed);
        Ok(())
    }
}

/// Forty leases, without those at these indices, and the keys of all.
async fn forty(missing: &[usize]) -> (Counting, Vec<LeaseKey>) {
    let table = Counting::default();
    let keys: Vec<LeaseKey> = (0..40)
        .map(|index| LeaseKey::single(format!("shardId-{index:012}")))
        .collect();
    for (index, key) in keys.iter().enumerate() {
        if !missing.contains(&index) {
            let lease = Lease::new(key.clone(), Checkpoint::TrimHorizon);
            table.create(&lease).await.unwrap();
        }
    }
    (table, keys)
}

#[tokio::test]
async fn several_leases_are_paused_at_the_same_time() {
    let (table, keys) = forty(&[]).await;
    let rows = pause(&table, &keys, Timestamp::from_millis(7))
        .await
        .unwrap();
    let paused: Vec<_> = rows.iter().map(|row| row.key.clone()).collect();
    assert_eq!(paused, keys, "in the order in which they were named");
    assert_eq!(table.most.load(Ordering::SeqCst), AT_ONCE);
    assert_eq!(table.announced.lock().unwrap().len(), 40);
}

/// Those that are under way are finished, and other workers hear of them.
#[tokio::test]
async fn after_a_failure_no_further_lease_is_changed() {
    let (table, keys) = forty(&[3]).await;
    let error = resume(&table, &keys).await.unwrap_err();
    assert!(
        matches!(&error, SteerError::Missing(key) if *key == keys[3]),
        "{error}"
    );
    assert_eq!(table.writes.load(Ordering::SeqCst), AT_ONCE);
    assert_eq!(table.announced.lock().unwrap().len(), AT_ONCE - 1);
}

#[tokio::test]
async fn nothing_is_paused_if_one_of_the_leases_is_missing() {
    let (table, keys) = forty(&[39]).await;
    let error = pause(&table, &keys, Timestamp::from_millis(7)).await;
    assert!(matches!(error, Err(SteerError::Missing(_))), "{error:?}");
    assert_eq!(table.writes.load(Ordering::SeqCst), 0);
}

/// Whoever steers a fleet from a server spawns these.
#[test]
fn what_an_operator_changes_can_be_done_in_a_task() {
    async fn all(table: Box<dyn LeaseTable>, clock: Box<dyn Clock>) -> Result<(), SteerError> {
        let (table, clock) = (&*table, &*clock);
        let keys = [LeaseKey::single("shard")];
        pause(table, &keys, Timestamp::from_millis(1)).await?;
        drained(table, &keys, Duration::ZERO, clock).await?;
        resume(table, &keys).await?;
        let to = WorkerId::from("worker");
        assign(table, &keys, &to).await?;
        moved(table, &keys, &to, Duration::ZERO, clock, |_| {}).await?;
        unassign(table, &keys).await?;
        drain(table, &to).await?;
        let _ = left_behind(table, &to, Duration::ZERO, clock, |_| {}).await;
        undrain(table, &to).await?;
        Ok(())
    }
    fn is_sent<T: Send + 'static>(_: impl Fn(Box<dyn LeaseTable>, Box<dyn Clock>) -> T) {}
    is_sent(all);
}
