use tokio::sync::{mpsc, oneshot};

use crate::BoxError;
use crate::model::{Checkpoint, Facts, Lease, LossReason, Pending, Position, ShardId, WorkerId};

/// Something for the writer to do.
#[derive(Debug)]
pub(crate) enum Order {
    Checkpoint {
        to: Position,
        answer: Reply<()>,
    },
    Prepare {
        pending: Pending,
        answer: Reply<()>,
    },
    Facts {
        facts: Facts,
        answer: Reply<()>,
    },
    End {
        children: Vec<ShardId>,
        answer: Reply<()>,
    },
    Leave {
        how: Leave,
        answer: Reply<()>,
    },
    /// The row as somebody else of this worker has read it: another worker may have asked for the
    /// lease.
    Seen(Box<Lease>),
    /// The lease is to be handed over to this worker, which has asked for it.
    HandOver {
        to: WorkerId,
    },
    /// The shard is not to be read by this worker any more: its consumer drains it, and the lease
    /// is freed.
    GiveUp,
    /// The same, because this worker does not get through to the shard.
    OutOfReach,
    /// This worker asked for the lease and is not to have it.
    Refuse {
        asked: WorkerId,
    },
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
pub(crate) struct Orders(mpsc::UnboundedSender<Order>);

impl Orders {
    pub(super) const fn new(orders: mpsc::UnboundedSender<Order>) -> Self {
        Self(orders)
    }

    pub(crate) async fn checkpoint(&self, to: Position) -> Result<(), OrderError> {
        self.give(|answer| Order::Checkpoint { to, answer }).await
    }

    pub(crate) async fn prepare(&self, pending: Pending) -> Result<(), OrderError> {
        self.give(|answer| Order::Prepare { pending, answer }).await
    }

    /// The row as it was read. A row of the present tenancy may tell of a request.
    pub(crate) fn seen(&self, row: Lease) {
        let _ = self.0.send(Order::Seen(Box::new(row)));
    }

    pub(crate) fn hand_over(&self, to: WorkerId) {
        let _ = self.0.send(Order::HandOver { to });
    }

    pub(crate) fn give_up(&self) {
        let _ = self.0.send(Order::GiveUp);
    }

    pub(crate) fn leave_to_others(&self) {
        let _ = self.0.send(Order::OutOfReach);
    }

    pub(crate) fn refuse(&self, asked: WorkerId) {
        let _ = self.0.send(Order::Refuse { asked });
    }

    pub(super) async fn give(
        &self,
        order: impl FnOnce(Reply<()>) -> Order,
    ) -> Result<(), OrderError> {
        let (answer, result) = oneshot::channel();
        self.0
            .send(order(answer))
            .map_err(|_| OrderError::Lost(None))?;
        result.await.unwrap_or(Err(OrderError::Lost(None)))
    }
}
