use tokio::sync::oneshot;

use crate::decide::fleet::Scan;
use crate::decide::shards::EndVerdict;
use crate::lease::{Error, WorkerRow};
use crate::model::{ChildShard, Lease, LeaseKey, Moment, Timestamp, WorkerId};

use super::super::context::{Acquired, Audited};
use super::super::error::CoordinationError;
use super::super::link::{ShardFate, Unanswered};
use super::super::moves::WriteResult;

/// What a job came to. Jobs do not touch the state of the loop: they ask, and the loop decides by
/// what it knows when the answer is there.
pub(super) enum JobResult {
    /// The whole table was read.
    Looked(Result<Scan, Error>),
    /// The rows that a change notification has named. Those that could not be read are left out: the
    /// next scan shows them.
    Hinted {
        /// `None`: there is no such row, or it is malformed.
        leases: Vec<(LeaseKey, Option<Lease>)>,
        /// `None`: there is no such row.
        workers: Vec<(WorkerId, Option<WorkerRow>)>,
        /// When the reads began. What this worker has written since is newer.
        at: Moment,
        /// When they had ended. What they show may have been written until then.
        ended: Moment,
    },
    /// The row of the worker that this one watches.
    Glanced {
        worker: WorkerId,
        row: Result<Option<WorkerRow>, Error>,
        /// When the read had ended.
        at: Moment,
    },
    /// The shards were compared with the leases.
    Audited(Result<Audited, CoordinationError>),
    /// The streams that were unknown were asked once more what they are.
    Described,
    /// A stream whose shard could not be read was asked again. Only an error that ends the worker
    /// matters: another stream may have its name.
    DescribedAnew(Result<(), CoordinationError>),
    /// The stream of this lease has answered this worker again.
    WithinReach(LeaseKey),
    /// The service's time, for a consumer that begins at the tip.
    StartTime(
        oneshot::Sender<Result<Timestamp, Unanswered>>,
        Result<Timestamp, CoordinationError>,
    ),
    /// The shards of quiet streams were listed, or could not be.
    Listed,
    /// A take, claim or steal. `None`: another worker was first.
    Taken(LeaseKey, Result<Option<Acquired>, Error>),
    /// A request was sent.
    Requested(LeaseKey, Result<WriteResult, Error>),
    /// A request was withdrawn.
    Withdrawn(LeaseKey, Result<WriteResult, Error>),
    /// A lease that was handed over without need was freed.
    GivenBack(LeaseKey, Result<WriteResult, Error>),
    /// The assignment of a lease was ended, or another one was there.
    Unassigned(LeaseKey, Result<WriteResult, Error>),
    /// The row of a dead worker was deleted, or is not as it was seen.
    Reaped(WorkerId, Result<(), Error>),
    /// The row of a worker that requests a lease of this one, which is judged once more by it.
    Requester {
        lease: LeaseKey,
        by: WorkerId,
        row: Result<Option<WorkerRow>, Error>,
        at: Moment,
    },
    /// The leases of child shards were created: the children, and those leases that this worker
    /// begins with.
    Children(
        oneshot::Sender<Result<Vec<ChildShard>, Unanswered>>,
        Result<(Vec<ChildShard>, Vec<Acquired>), CoordinationError>,
    ),
    /// What the listing says about the end of a shard.
    Ending(
        oneshot::Sender<Result<EndVerdict, Unanswered>>,
        Result<EndVerdict, CoordinationError>,
    ),
    /// What became of a shard that the service does not know, and the leases that were created for
    /// what follows it.
    Found(oneshot::Sender<ShardFate>, ShardFate, Vec<Acquired>),
}
