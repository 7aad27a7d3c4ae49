//! Tests of the suite itself: each table below violates the contract in one way.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::Mutex;

use async_trait::async_trait;
use futures_util::FutureExt;

use crate::lease::memory::MemoryLeaseTable;
use crate::lease::{
    Change, ChangeSignal, Changed, Consistency, Error, Expect, LeaseTable, Match, PageToken,
    ScanPage, WorkerRow, Write,
};
use crate::model::{Checkpoint, Lease, LeaseKey, Pending, Position, WorkerId};
use crate::runtime::panic_message;

use super::TableFixture;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    IgnoresTheCounter,
    IgnoresTheToken,
    IgnoresTheOwner,
    IgnoresTheCheckpointOwner,
    IgnoresTheSubSequence,
    IgnoresTheEnd,
    HidesTheRowThatWon,
    CreatesOnUpdate,
    ReturnsTheRowBefore,
    KeepsWhatWasPrepared,
    LosesEmptyState,
    ReplacesOnCreate,
    DeletesAlways,
    SkipsARowBetweenPages,
    RepeatsARowOnTheNextPage,
    ReplacesAnyWorker,
    NeverSignals,
}

const FAULTS: [(Fault, &str); 17] = [
    (
        Fault::IgnoresTheCounter,
        "a_take_from_an_owner_needs_its_counter_alone",
    ),
    (Fault::IgnoresTheToken, "a_renewal_needs_counter_and_token"),
    (
        Fault::IgnoresTheOwner,
        "a_withdrawal_needs_both_owners_and_the_token",
    ),
    (
        Fault::IgnoresTheCheckpointOwner,
        "a_claim_needs_counter_owner_and_no_pending_hand_over",
    ),
    (
        Fault::IgnoresTheSubSequence,
        "checkpoints_are_compared_exactly",
    ),
    (
        Fault::IgnoresTheEnd,
        "a_request_needs_owner_token_no_other_request_and_no_end",
    ),
    (Fault::HidesTheRowThatWon, "one_of_64_takers_wins"),
    (Fault::CreatesOnUpdate, "a_hash_range_needs_the_row_alone"),
    (
        Fault::ReturnsTheRowBefore,
        "a_refusal_needs_counter_token_and_both_owners",
    ),
    (
        Fault::KeepsWhatWasPrepared,
        "a_checkpoint_needs_counter_token_and_the_one_before",
    ),
    (Fault::LosesEmptyState, "prepared_checkpoints_are_exact"),
    (Fault::ReplacesOnCreate, "a_creation_does_not_replace_a_row"),
    (
        Fault::DeletesAlways,
        "a_delete_needs_its_counter_and_the_end_of_the_shard",
    ),
    (Fault::SkipsARowBetweenPages, "a_scan_has_each_row_once"),
    (Fault::RepeatsARowOnTheNextPage, "a_scan_has_each_row_once"),
    (
        Fault::ReplacesAnyWorker,
        "a_worker_row_is_replaced_only_as_seen",
    ),
    (
        Fault::NeverSignals,
        "the_signal_changes_with_the_announcements_of_others",
    ),
];

#[tokio::test]
async fn each_fault_of_a_table_is_found_and_named() {
    for (fault, point) in FAULTS {
        let run = super::suite(|| async move { Faulty::new(fault) });
        let message = match Box::pin(AssertUnwindSafe(run).catch_unwind()).await {
            Ok(()) => panic!("{fault:?} was not found"),
            Err(panic) => panic_message(&*panic),
        };
        assert!(
            message.contains(&format!("- {point}: ")),
            "{fault:?} is not named by {point}:\n{message}"
        );
    }
}

#[derive(Clone, Debug)]
struct Faulty {
    table: MemoryLeaseTable,
    fault: Fault,
    repeated: Arc<Mutex<Option<Lease>>>,
}

impl Faulty {
    fn new(fault: Fault) -> Self {
        Self {
            table: MemoryLeaseTable::new(),
            fault,
            repeated: Arc::default(),
        }
    }

    fn has(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    fn blur(&self, expect: &Expect, row: Option<&Lease>) -> Expect {
        let mut expect = expect.clone();
        match self.fault {
            Fault::IgnoresTheCounter => expect.counter = None,
            Fault::IgnoresTheToken => expect.token = Match::Any,
            Fault::IgnoresTheOwner => expect.owner = Match::Any,
            Fault::IgnoresTheCheckpointOwner => expect.checkpoint_owner = Match::Any,
            Fault::IgnoresTheEnd => expect.not_ended = false,
            Fault::IgnoresTheSubSequence => {
                if let (Some(Checkpoint::At(expected)), Some(Checkpoint::At(found))) =
                    (&expect.checkpoint, row.map(|row| &row.checkpoint))
                {
                    expect.checkpoint =
                        Some(Position::new(expected.sequence.clone(), found.sub_sequence).into());
                }
            }
            _ => {}
        }
        expect
    }
}

#[async_trait]
impl TableFixture for Faulty {
    async fn handle(&self) -> Arc<dyn LeaseTable> {
        Arc::new(self.clone())
    }
}

#[async_trait]
impl LeaseTable for Faulty {
    async fn get(&self, key: &LeaseKey) -> Result<Option<Lease>, Error> {
        self.table.get(key).await
    }

    async fn scan(
        &self,
        page: Option<&PageToken>,
        consistency: Consistency,
    ) -> Result<ScanPage, Error> {
        let mut rows = self.table.scan(page, consistency).await?;
        if self.has(Fault::SkipsARowBetweenPages) && rows.next.is_some() {
            rows.leases.pop();
        }
        if self.has(Fault::RepeatsARowOnTheNextPage) {
            let mut repeated = self.repeated.lock().unwrap();
            rows.leases.extend(repeated.take());
            *repeated = rows.leases.last().filter(|_| rows.next.is_some()).cloned();
        }
        Ok(rows)
    }

    async fn create(&self, lease: &Lease) -> Result<Lease, Error> {
        if self.has(Fault::ReplacesOnCreate) {
            self.table.edit(&lease.key, |row| *row = lease.clone());
            return Ok(self
                .table
                .create(lease)
                .await
                .unwrap_or_else(|_| lease.clone()));
        }
        self.table.create(lease).await
    }

    async fn update(&self, key: &LeaseKey, write: &Write) -> Result<Lease, Error> {
        let before = self.table.get(key).await?;
        if self.has(Fault::CreatesOnUpdate) && before.is_none() {
            return self
                .table
                .create(&Lease::new(key.clone(), Checkpoint::Latest))
                .await;
        }
        let blurred = Write::new(
            self.blur(&write.expect, before.as_ref()),
            write.change.clone(),
        );
        let mut result = self.table.update(key, &blurred).await;
        let pending = before.as_ref().and_then(|row| row.pending.clone());
        match (self.fault, &mut result) {
            (Fault::HidesTheRowThatWon, Err(Error::Conflict { row })) => *row = None,
            (Fault::ReturnsTheRowBefore, Ok(row)) => *row = before.unwrap_or_else(|| row.clone()),
            (Fault::KeepsWhatWasPrepared, Ok(row))
                if matches!(write.change, Change::Checkpoint { .. }) =>
            {
                self.table
                    .edit(key, |stored| stored.pending.clone_from(&pending));
                row.pending = pending;
            }
            (Fault::LosesEmptyState, Ok(row)) => {
                if let Some(Pending { state, .. }) = &mut row.pending {
                    *state = state.take().filter(|state| !state.is_empty());
                }
            }
            _ => {}
        }
        result
    }

    async fn delete(&self, key: &LeaseKey, expect: &Expect) -> Result<(), Error> {
        if self.has(Fault::DeletesAlways) {
            return self.table.delete(key, &Expect::default()).await;
        }
        self.table.delete(key, expect).await
    }

    async fn write_worker(
        &self,
        worker: &WorkerId,
        seen: Option<&WorkerRow>,
        row: Option<&WorkerRow>,
    ) -> Result<(), Error> {
        if self.has(Fault::ReplacesAnyWorker)
            && seen.is_some()
            && let Some(found) = self.table.get_worker(worker).await?
        {
            return self.table.write_worker(worker, Some(&found), row).await;
        }
        self.table.write_worker(worker, seen, row).await
    }

    async fn get_worker(&self, worker: &WorkerId) -> Result<Option<WorkerRow>, Error> {
        self.table.get_worker(worker).await
    }

    async fn change_signal(&self) -> Result<Option<ChangeSignal>, Error> {
        if self.has(Fault::NeverSignals) {
            Ok(Some(ChangeSignal::default()))
        } else {
            self.table.change_signal().await
        }
    }

    async fn announce(&self, changed: &[Changed]) -> Result<(), Error> {
        self.table.announce(changed).await
    }
}
