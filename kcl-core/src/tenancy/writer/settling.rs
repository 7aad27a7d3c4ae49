//! What became of a write on the lease.

use std::sync::atomic::Ordering;

use crate::decide::keeping::KeptBy;
use crate::lease::{Error, Write, with_causes};
use crate::model::{Lease, LossReason, Moment};
use crate::tenancy::pulse::Footing;
use crate::tenancy::table_client::{FIRST_PAUSE, WriteOutcome};

use super::{Failed, TenancyEnd, Writer, along};

impl Writer {
    /// Writes until it is settled or the lease's own deadline has passed. An unsettled write leaves
    /// the lease as it is: whatever follows expects the same counter and settles it.
    pub(super) async fn write(
        &mut self,
        make: impl Fn(&Lease) -> Option<Write>,
    ) -> Result<(), TenancyEnd> {
        let (until, carried) = (self.deadline(), self.carried());
        let make = |row: &Lease| make(row).map(|write| along(write, carried, row));
        let outcome = self.client.pursue(&mut self.row, until, make).await;
        match self.take_in(outcome).await {
            Ok(()) => Ok(()),
            Err(Failed::Tenancy(tenancy)) => Err(tenancy),
            Err(Failed::Unsettled(_)) => Ok(()),
        }
    }

    /// Takes in what became of a write: the row, until when the lease is valid, and what the consumer
    /// may know to be stored.
    pub(super) async fn take_in(&mut self, outcome: WriteOutcome) -> Result<(), Failed> {
        match outcome {
            WriteOutcome::Stored {
                row,
                sent,
                acknowledged,
            } => {
                self.row = row;
                // Others may have seen the counter move when an unsettled write landed, long before
                // this one was sent.
                let first = self.unsettled.take().filter(|_| !acknowledged);
                self.renewed(first.map_or(sent, |first| first.min(sent)));
                Ok(())
            }
            WriteOutcome::Superseded => {
                self.shared.set_stored(self.row.checkpoint.clone());
                Ok(())
            }
            WriteOutcome::Edited => {
                tracing::warn!(lease = %self.row.key, checkpoint = %self.row.checkpoint, "the checkpoint was edited from outside: giving up the shard, to resume from the edited checkpoint");
                // Boxed: giving up is a write too, and may find the row edited once more.
                Err(Failed::Tenancy(
                    Box::pin(self.give_up(LossReason::CheckpointEdited)).await,
                ))
            }
            // Another token: whatever its owner's name, this tenancy is over.
            WriteOutcome::Lost(row) => Err(Failed::Tenancy(TenancyEnd::Lost(self.taken(&row)))),
            WriteOutcome::Vanished => self.put_back().await,
            WriteOutcome::Malformed(row) => Err(Failed::Tenancy(TenancyEnd::Lost(
                LossReason::Unreadable(row.to_string().into()),
            ))),
            WriteOutcome::Unsettled { error, sent } => {
                self.unsettled.get_or_insert(sent);
                self.shared.set_unsettled(Some(with_causes(&error).into()));
                self.shared.set_stored(self.row.checkpoint.clone());
                self.keeping.retry_at = self.client.clock.now() + FIRST_PAUSE;
                Err(Failed::Unsettled(error.into()))
            }
            WriteOutcome::Broken(error) => Err(Failed::Tenancy(TenancyEnd::Broken(error))),
        }
    }

    /// The loss of a lease that is somebody else's, as this row shows.
    fn taken(&self, row: &Lease) -> LossReason {
        LossReason::Lost(match row.actual_owner() {
            Some(owner) if *owner == self.me => {
                format!("another process that works as `{owner}` has it").into()
            }
            Some(owner) => format!("`{owner}` has it").into(),
            None => "somebody has freed it".into(),
        })
    }

    /// A write is settled that was sent at this moment, from which the lease is valid anew.
    fn renewed(&mut self, sent: Moment) {
        self.shared.set_unsettled(None);
        self.shared
            .counter
            .store(self.row.counter, Ordering::Release);
        self.keeping.sent = sent;
        self.keeping.is_wanted = false;
        self.shared.set_stored(self.row.checkpoint.clone());
        if self.leaning.is_some() {
            if self.pulse.footing() != Footing::Renewals {
                return;
            }
            // By its own renewals from now on, within what the heartbeats still allow.
            self.keeping.kept_by = KeptBy::Renewals;
            self.leaning = None;
        }
        self.shared
            .set_valid_until(self.keeping.sent + self.keeping.timing.valid_for);
    }

    /// The row has gone under us: it is made again with the last checkpoint that was acknowledged,
    /// never at the initial position.
    ///
    /// Not after the lease's own deadline: somebody may have taken the lease meanwhile, brought it
    /// to its end, and deleted its row.
    pub(super) async fn put_back(&mut self) -> Result<(), Failed> {
        let sent = self.client.clock.now();
        if sent >= self.deadline() {
            return Err(Failed::Tenancy(TenancyEnd::Lost(LossReason::Lost(
                "its row was deleted by somebody, and its time is over".into(),
            ))));
        }
        tracing::warn!(lease = %self.row.key, checkpoint = %self.row.checkpoint, "the lease's row was deleted from outside: recreating it");
        // The same tenancy: the rest of this worker knows it by its token.
        let mut row = self.row.clone();
        row.owner = Some(self.me.clone());
        // Above every counter that the lost row had: the fence of a later owner must not fall
        // behind ours.
        row.counter = self.row.counter + 1;
        row.checkpoint_owner = None;
        match self.client.write(self.client.table.create(&row)).await {
            Ok(row) => {
                self.row = row;
                self.renewed(sent);
                Ok(())
            }
            // An earlier try without an answer has landed: the row is the one that was to be made.
            Err(Error::Conflict { row: Some(found) }) if found.token == row.token => {
                self.row = *found;
                self.renewed(sent);
                Ok(())
            }
            Err(Error::Conflict { row: Some(found) }) => {
                Err(Failed::Tenancy(TenancyEnd::Lost(self.taken(&found))))
            }
            Err(Error::Conflict { row: None }) => Err(Failed::Tenancy(TenancyEnd::Lost(
                LossReason::Lost("its row was deleted by somebody, again and again".into()),
            ))),
            Err(Error::Malformed(row)) => Err(Failed::Tenancy(TenancyEnd::Lost(
                LossReason::Unreadable(row.to_string().into()),
            ))),
            Err(error) if error.is_transient() => {
                self.shared.set_unsettled(Some(with_causes(&error).into()));
                // If it was made after all, the next write meets a row with this token and counter.
                self.row = row;
                self.keeping.retry_at = self.client.clock.now() + FIRST_PAUSE;
                Err(Failed::Unsettled(error.into()))
            }
            Err(error) => Err(Failed::Tenancy(TenancyEnd::Broken(error))),
        }
    }
}
