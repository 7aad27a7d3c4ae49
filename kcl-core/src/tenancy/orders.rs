use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::{mpsc, oneshot};

use crate::BoxError;
use crate::model::{Checkpoint, Facts, Lease, LossReason, Pending, Position, ShardId, WorkerId};

use super::held::HeldState;

/// Something for the writer to do.
#[derive(Debug)]
pub(crate) enum Order {
    /// Store this position.
    Checkpoint { to: Position, answer: Reply<()> },
    /// Store the first half of a two-phase checkpoint.
    Prepare { pending: Pending, answer: Reply<()> },
    /// Keep what was learned of the shard in its row.
    Facts { facts: Facts, answer: Reply<()> },
    /// Store the shard's end with its children.
    End {
        children: Vec<ShardId>,
        answer: Reply<()>,
    },
    /// Give the lease up, in good order.
    Leave { how: Leave, answer: Reply<()> },
    /// The row as somebody else of this worker has read it: another worker may have asked for the
    /// lease.
    Seen(Box<Lease>),
    /// The row is missing, or another tenancy's, as somebody else of this worker has read it: a write
    /// finds out.
    Doubted,
    /// The lease is to be handed over to this worker, which has asked for it.
    HandOver { to: WorkerId },
    /// The shard is not to be read by this worker any more: its consumer drains it, and the lease
    /// is freed.
    GiveUp,
    /// The same, because this worker does not get through to the shard.
    OutOfReach,
    /// This worker asked for the lease and is not to have it.
    Refuse { asked: WorkerId },
    /// Nobody works on the shard any more.
    Abandon,
}

/// How an owner leaves its lease, with what is done and not stored yet in the same write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leave {
    /// It is handed over to who asked for it and is to have it, or freed when nobody asks any more.
    PassOn,
    /// It is free.
    Free,
    /// It stays this worker's, for the process that will be started under its name.
    Keep,
}

/// Where the outcome of an order goes. Who asked may be gone: then it is carried out all the same,
/// and nobody hears of it.
pub(crate) type Reply<T> = oneshot::Sender<Result<T, OrderError>>;

/// Why an order was not carried out.
#[derive(Debug)]
pub(crate) enum OrderError {
    /// The lease is not ours any more; why, if the writer has said it.
    Lost(Option<LossReason>),
    /// The stored checkpoint has passed it: a later one was stored meanwhile, or somebody edited
    /// the row.
    Behind { stored: Checkpoint },
    /// The table is busy; the order may or may not have been carried out.
    Throttled(BoxError),
    /// The table cannot be used.
    Broken(BoxError),
}

/// Gives orders to the writer of a lease. Late orders are refused, never carried out for another
/// tenancy.
#[derive(Clone, Debug)]
pub(crate) struct Orders {
    orders: mpsc::UnboundedSender<Order>,
    /// What the writer knows of the lease.
    shared: Arc<HeldState>,
}

impl Orders {
    pub(super) const fn new(orders: mpsc::UnboundedSender<Order>, shared: Arc<HeldState>) -> Self {
        Self { orders, shared }
    }

    /// Whether somebody has edited the checkpoint in this row of the lease. While heartbeats hold a
    /// quiet lease, no write of its writer would find out.
    pub(crate) fn is_edited(&self, row: &Lease) -> bool {
        self.shared.counter.load(Ordering::Acquire) == row.counter
            && !self.shared.is_stored(&row.checkpoint)
    }

    /// Stores a position. Dropping the future does not take the order back: the checkpoint may be
    /// stored.
    pub(crate) async fn checkpoint(&self, to: Position) -> Result<(), OrderError> {
        self.give(|answer| Order::Checkpoint { to, answer }).await
    }

    /// Stores the first half of a two-phase checkpoint. Dropping the future does not take the order
    /// back.
    pub(crate) async fn prepare(&self, pending: Pending) -> Result<(), OrderError> {
        self.give(|answer| Order::Prepare { pending, answer }).await
    }

    /// The row as it was read. A row of the present tenancy may tell of a request.
    pub(crate) fn seen(&self, row: Lease) {
        let _ = self.orders.send(Order::Seen(Box::new(row)));
    }

    /// The row is missing, or another tenancy's.
    pub(crate) fn doubted(&self) {
        let _ = self.orders.send(Order::Doubted);
    }

    /// This worker is to have the lease: see [`Order::HandOver`]. The following four neither wait
    /// nor answer, as the coordination never waits; what became of them shows in the row and in how
    /// the tenancy ends.
    pub(crate) fn hand_over(&self, to: WorkerId) {
        let _ = self.orders.send(Order::HandOver { to });
    }

    /// See [`Order::GiveUp`].
    pub(crate) fn give_up(&self) {
        let _ = self.orders.send(Order::GiveUp);
    }

    /// See [`Order::OutOfReach`].
    pub(crate) fn leave_to_others(&self) {
        let _ = self.orders.send(Order::OutOfReach);
    }

    /// See [`Order::Refuse`].
    pub(crate) fn refuse(&self, asked: WorkerId) {
        let _ = self.orders.send(Order::Refuse { asked });
    }

    /// Gives an order and waits for its outcome. A writer that has ended, before or after it took
    /// the order, has lost the lease.
    pub(super) async fn give(
        &self,
        order: impl FnOnce(Reply<()>) -> Order,
    ) -> Result<(), OrderError> {
        let (answer, result) = oneshot::channel();
        self.orders
            .send(order(answer))
            .map_err(|_| OrderError::Lost(None))?;
        result.await.unwrap_or(Err(OrderError::Lost(None)))
    }
}
