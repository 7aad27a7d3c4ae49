#![expect(clippy::disallowed_methods, reason = "a task for the writer")]

use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use tokio::task::JoinHandle;

use super::*;
use crate::lease::memory::MemoryLeaseTable;
use crate::lease::{
    Change, ChangeSignal, Changed, Consistency, Expect, LeaseTable, PageToken, ScanPage, WorkerRow,
};
use crate::model::{LeaseKey, Pending, SequenceNumber, WorkerId};
use crate::paused::PausedClock;
use crate::runtime::Clock;
use crate::tenancy::orders::{Leave, OrderError};

/// What happens to an update.
#[derive(Clone, Copy)]
enum Fate {
    Answered,
    AnswerLost,
    /// It is carried out, and nothing is heard of it.
    Unanswered,
    /// It is carried out, and answered after so long.
    Slow(Duration),
    /// It is carried out and answered, and before anything else is done the process stands still
    /// for so long.
    Standstill(Duration),
    Refused,
}

type Rule = dyn Fn(&Change) -> Fate + Send + Sync;

/// Rows in memory whose updates fare as a rule says.
struct Ruled {
    rows: MemoryLeaseTable,
    rule: Mutex<Box<Rule>>,
}

impl Ruled {
    fn set(&self, rule: impl Fn(&Change) -> Fate + Send + Sync + 'static) {
        *self.rule.lock().unwrap() = Box::new(rule);
    }
}

impl std::fmt::Debug for Ruled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.rows.fmt(f)
    }
}

#[async_trait]
impl LeaseTable for Ruled {
    async fn get(&self, key: &LeaseKey) -> Result<Option<Lease>, Error> {
        self.rows.get(key).await
    }
    async fn scan(
        &self,
        page: Option<&PageToken>,
        consistency: Consistency,
    ) -> Result<ScanPage, Error> {
        self.rows.scan(page, consistency).await
    }
    async fn create(&self, lease: &Lease) -> Result<Lease, Error> {
        self.rows.create(lease).await
    }
    async fn update(&self, key: &LeaseKey, write: &Write) -> Result<Lease, Error> {
        let fate = (self.rule.lock().unwrap())(&write.change);
        match fate {
            Fate::Answered => self.rows.update(key, write).await,
            Fate::AnswerLost => {
                let _ = self.rows.update(key, write).await;
                Err(Error::Unknown {
                    source: "no answer".into(),
                })
            }
            Fate::Unanswered => {
                let _ = self.rows.update(key, write).await;
                std::future::pending().await
            }
            Fate::Slow(span) => {
                let answer = self.rows.update(key, write).await;
                tokio::time::sleep(span).await;
                answer
            }
            Fate::Standstill(span) => {
                let answer = self.rows.update(key, write).await;
                tokio::time::advance(span).await;
                answer
            }
            Fate::Refused => Err(Error::Throttled {
                source: "too many writes".into(),
            }),
        }
    }
    async fn delete(&self, key: &LeaseKey, expect: &Expect) -> Result<(), Error> {
        self.rows.delete(key, expect).await
    }
    async fn write_worker(
        &self,
        worker: &WorkerId,
        seen: Option<&WorkerRow>,
        row: Option<&WorkerRow>,
    ) -> Result<(), Error> {
        self.rows.write_worker(worker, seen, row).await
    }
    async fn get_worker(&self, worker: &WorkerId) -> Result<Option<WorkerRow>, Error> {
        self.rows.get_worker(worker).await
    }
    async fn change_signal(&self) -> Result<Option<ChangeSignal>, Error> {
        self.rows.change_signal().await
    }
    async fn announce(&self, changed: &[Changed]) -> Result<(), Error> {
        self.rows.announce(changed).await
    }
}

/// A lease that is held, with its writer at work.
struct Bench {
    table: Arc<Ruled>,
    clock: Arc<PausedClock>,
    key: LeaseKey,
    held: Held,
    timing: Timing,
    writer: JoinHandle<TenancyEnd>,
    notes: mpsc::UnboundedReceiver<FromWriter>,
}

const SECOND: Duration = Duration::from_secs(1);

impl Bench {
    async fn new() -> Self {
        Self::with_checkpoints_every(SECOND * 5).await
    }

    async fn with_checkpoints_every(checkpoint_every: Duration) -> Self {
        let table = Arc::new(Ruled {
            rows: MemoryLeaseTable::new(),
            rule: Mutex::new(Box::new(|_| Fate::Answered)),
        });
        let clock = Arc::new(PausedClock::new());
        let timing = Timing::for_failover(SECOND * 10);
        let key = LeaseKey::single("shard");
        let row =
            Lease::new(key.clone(), Checkpoint::TrimHorizon).owned_by("me".into(), "token".into());
        table.create(&row).await.unwrap();
        let client = TableClient::new(table.clone(), clock.clone(), timing.call_limit);
        let limits = Limits {
            checkpoint_every,
            handler_budget: SECOND * 20,
            standstill: SECOND * 60,
            drain: SECOND * 10,
        };
        let (note, notes) = mpsc::unbounded_channel();
        let (writer, held) = Writer::new(
            client,
            timing,
            limits,
            (row, clock.now()),
            "me".into(),
            note,
        );
        let writer = tokio::spawn(writer.run());
        Self {
            table,
            clock,
            key,
            held,
            timing,
            writer,
            notes,
        }
    }

    async fn row(&self) -> Lease {
        self.table.get(&self.key).await.unwrap().unwrap()
    }

    async fn at(&self, seconds: f64) {
        self.clock
            .sleep_until(Moment::from_origin(Duration::from_secs_f64(seconds)))
            .await;
    }

    fn is_valid(&self) -> bool {
        self.held.is_valid(self.clock.now())
    }
}

fn position(sequence: u128) -> Position {
    SequenceNumber::from_u128(sequence).into()
}

/// Others may have seen that write land, and count from there.
#[tokio::test(start_paused = true)]
async fn validity_counts_from_the_first_write_that_may_have_landed() {
    let bench = Bench::new().await;
    let renewals = std::sync::atomic::AtomicU32::new(0);
    bench.table.set(move |change| match change {
        // It lands at once, and its owner never hears of it.
        Change::Checkpoint { .. } => Fate::AnswerLost,
        // The first renewal after it meets the row that it has changed, and that is the last that
        // is heard of the table.
        _ if renewals.fetch_add(1, Ordering::SeqCst) == 0 => Fate::Answered,
        _ => Fate::Refused,
    });
    bench.at(1.0).await;
    let stored = bench.held.orders().checkpoint(position(5)).await;
    assert!(
        matches!(stored, Err(OrderError::Throttled(_))),
        "{stored:?}"
    );
    // Whoever saw the counter move at 1 s may take the lease at 1 s + D_obs: the owner has stopped
    // before.
    let limit = 1.0 + bench.timing.valid_for.as_secs_f64();
    bench.at(limit - 0.1).await;
    assert!(bench.is_valid(), "the row moved, and it is still ours");
    assert_eq!(
        bench.held.stored(),
        Checkpoint::At(position(5)),
        "and what it holds is known"
    );
    bench.at(limit + 0.1).await;
    assert!(!bench.is_valid());
    assert!(matches!(
        bench.writer.await.unwrap(),
        TenancyEnd::Lost(LossReason::Lost(_))
    ));
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_cannot_be_renewed_ends_before_others_take_it() {
    let bench = Bench::new().await;
    bench.table.set(|_| Fate::Refused);
    bench.at(7.1).await;
    assert!(bench.is_valid());
    bench.at(7.3).await;
    assert!(!bench.is_valid() && bench.timing.valid_for < bench.timing.expires_after);
    let TenancyEnd::Lost(LossReason::Lost(cause)) = bench.writer.await.unwrap() else {
        panic!("it is not lost")
    };
    assert!(
        cause.starts_with(
            "it could not be renewed in time: the lease table is busy or out of reach: "
        ),
        "{cause}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_failed_renewal_is_retried_at_once() {
    let bench = Bench::new().await;
    let tries = std::sync::atomic::AtomicU32::new(0);
    bench.table.set(move |_| {
        if tries.fetch_add(1, Ordering::SeqCst) == 0 {
            Fate::Refused
        } else {
            Fate::Answered
        }
    });
    bench.at(3.5).await;
    assert_eq!(bench.row().await.counter, 2);
}

#[tokio::test(start_paused = true)]
async fn a_lease_outlives_four_unanswered_renewals() {
    let bench = Bench::new().await;
    let tries = Arc::new(std::sync::atomic::AtomicU32::new(0));
    let count = tries.clone();
    bench.table.set(move |_| {
        if count.fetch_add(1, Ordering::SeqCst) < 4 {
            Fate::Unanswered
        } else {
            Fate::Answered
        }
    });
    bench.at(bench.timing.valid_for.as_secs_f64() + 0.1).await;
    assert!(
        bench.is_valid(),
        "after {} tries",
        tries.load(Ordering::SeqCst)
    );
    assert!(!bench.writer.is_finished());
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_counts_though_the_write_was_retried() {
    let bench = Bench::new().await;
    let tries = std::sync::atomic::AtomicU32::new(0);
    // The first is lost; whatever follows is slow, but within the time that a call has.
    let slow = bench.timing.call_limit.mul_f64(0.95);
    bench.table.set(move |_| {
        if tries.fetch_add(1, Ordering::SeqCst) == 0 {
            Fate::Unanswered
        } else {
            Fate::Slow(slow)
        }
    });
    // The renewal landed once, however often it was sent, and no answer is in yet.
    let second = (bench.timing.renew_every + bench.timing.call_limit).as_secs_f64();
    bench.at(second + slow.as_secs_f64() - 0.1).await;
    assert_eq!(bench.row().await.counter, 2);
    bench.at(bench.timing.valid_for.as_secs_f64() + 0.1).await;
    assert!(bench.is_valid());
}

/// Even while a checkpointer is kept.
#[tokio::test(start_paused = true)]
async fn a_lease_without_its_consumer_is_freed() {
    let bench = Bench::new().await;
    let kept = bench.held.orders();
    bench.held.finish(position(3));
    bench.held.abandon();
    assert!(matches!(
        bench.writer.await.unwrap(),
        TenancyEnd::Lost(LossReason::Released)
    ));
    let row = bench.table.get(&bench.key).await.unwrap().unwrap();
    assert_eq!((row.owner, row.token), (None, None));
    assert!(matches!(
        kept.checkpoint(position(9)).await,
        Err(OrderError::Lost(_))
    ));
}

#[tokio::test(start_paused = true)]
async fn a_handler_keeps_its_lease_for_its_budget_and_no_longer() {
    let bench = Bench::new().await;
    bench.held.progress().enter_call(bench.clock.now());
    bench.at(19.0).await;
    assert!(
        bench.is_valid() && bench.row().await.owner.is_some(),
        "renewed all the time"
    );
    bench.at(24.0).await;
    assert!(!bench.is_valid());
    assert_eq!(
        bench.held.loss(),
        Some(LossReason::NoProgress),
        "and it says why"
    );
    assert_eq!(bench.row().await.owner, None, "freed, not left to expire");
}

#[tokio::test(start_paused = true)]
async fn a_consumer_without_progress_loses_its_lease() {
    let bench = Bench::new().await;
    for second in 1..100 {
        bench.at(f64::from(second)).await;
        bench.held.progress().turned(bench.clock.now());
    }
    assert!(bench.is_valid());
    bench.at(99.0 + 59.0).await;
    assert!(bench.is_valid());
    bench.at(99.0 + 64.0).await;
    assert!(!bench.is_valid() && bench.row().await.owner.is_none());
}

/// The ticks of 200 ms at which a checkpoint is stored while a position is finished at each, and
/// how often the row is written.
async fn stored_at(bench: &Bench, ticks: u32) -> (Vec<u32>, u64) {
    let before = bench.row().await;
    let mut last = before.checkpoint;
    let mut stored = Vec::new();
    for tick in 1..=ticks {
        bench.at(f64::from(tick) / 5.0 + 0.001).await;
        bench.held.finish(position(tick.into()));
        tokio::task::yield_now().await;
        let checkpoint = bench.row().await.checkpoint;
        if last != checkpoint {
            last = checkpoint;
            stored.push(tick);
        }
    }
    (stored, bench.row().await.counter - before.counter)
}

/// The last one and the release are one write.
#[tokio::test(start_paused = true)]
async fn automatic_checkpoints_are_timely_and_the_last_is_in_release() {
    let bench = Bench::with_checkpoints_every(SECOND * 2).await;
    let (stored, writes) = stored_at(&bench, 60).await;
    assert_eq!(
        stored,
        [1, 11, 21, 31, 41, 51],
        "at once, and then every 2 s"
    );
    assert_eq!(writes, 6, "and nothing is renewed beside");
    bench.held.leave(Leave::Free).await.unwrap();
    let row = bench.table.get(&bench.key).await.unwrap().unwrap();
    assert_eq!(
        (row.checkpoint, row.owner),
        (Checkpoint::At(position(60)), None)
    );
}

/// Automatic checkpoints that are further apart than renewals cost no write of their own.
#[tokio::test(start_paused = true)]
async fn a_renewal_stores_progress_so_that_checkpoints_cost_no_write() {
    let bench = Bench::with_checkpoints_every(SECOND * 5).await;
    let (stored, writes) = stored_at(&bench, 60).await;
    // The first at 0.2 s, and then after 3.3 s each: as often as a quiet lease is renewed.
    assert_eq!(stored, [1, 18, 35, 52]);
    assert_eq!(writes, 4);
}

/// And with a counter above each that it had.
#[tokio::test(start_paused = true)]
async fn a_deleted_row_is_restored_with_the_pending_checkpoint() {
    let bench = Bench::new().await;
    bench.held.orders().checkpoint(position(5)).await.unwrap();
    let before = bench.row().await;
    bench
        .table
        .delete(&bench.key, &Expect::default())
        .await
        .unwrap();
    let state = Pending {
        at: Checkpoint::At(position(7)),
        state: None,
    };
    bench.held.orders().prepare(state.clone()).await.unwrap();
    let after = bench.row().await;
    assert_eq!(
        (after.checkpoint, after.pending, after.token),
        (before.checkpoint, Some(state), before.token)
    );
    assert!(after.counter > before.counter);
}

#[tokio::test(start_paused = true)]
async fn a_row_that_has_gone_is_not_restored_after_the_deadline() {
    let bench = Bench::new().await;
    bench
        .table
        .delete(&bench.key, &Expect::default())
        .await
        .unwrap();
    // Somebody else may have taken the lease, read the shard to its end and deleted the row
    // meanwhile.
    let span = bench.timing.valid_for;
    bench.table.set(move |_| Fate::Standstill(span));
    assert!(matches!(
        bench.writer.await.unwrap(),
        TenancyEnd::Lost(LossReason::Lost(_))
    ));
    assert_eq!(bench.table.get(&bench.key).await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn a_row_deleted_and_made_anew_by_others_is_no_longer_valid() {
    let bench = Bench::new().await;
    bench
        .table
        .delete(&bench.key, &Expect::default())
        .await
        .unwrap();
    let theirs = Lease::new(bench.key.clone(), Checkpoint::TrimHorizon)
        .owned_by("other".into(), "theirs".into());
    bench.table.create(&theirs).await.unwrap();
    let stored = bench.held.orders().checkpoint(position(5)).await;
    assert!(matches!(stored, Err(OrderError::Lost(_))), "{stored:?}");
    assert!(!bench.is_valid());
    assert_eq!(bench.row().await, theirs);
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_only_checkpoints_still_hears_requests() {
    let mut bench = Bench::new().await;
    bench.held.orders().checkpoint(position(1)).await.unwrap();
    let request = Write::request(&bench.row().await, "other".into(), "me".into());
    bench.table.update(&bench.key, &request).await.unwrap();
    bench.at(1.0).await;
    assert!(
        bench.notes.try_recv().is_err(),
        "a request moves no counter: nothing tells of it yet"
    );
    bench.held.orders().checkpoint(position(2)).await.unwrap();
    let note = bench.notes.recv().await;
    assert!(
        matches!(&note, Some(FromWriter::Asked { by, .. }) if by.as_str() == "other"),
        "{note:?}"
    );
    assert!(
        bench.clock.now() < Moment::from_origin(bench.timing.renew_every),
        "before any renewal was due"
    );
}

#[path = "writer_load_test.rs"]
mod load;
