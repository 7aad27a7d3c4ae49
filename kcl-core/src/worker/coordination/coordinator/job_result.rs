use tokio::sync::oneshot;

use crate::decide::fleet::Scan;
use crate::decide::shards::EndVerdict;
use crate::lease::{Error, WorkerRow};
use crate::model::{ChildShard, Lease, LeaseKey, Moment, Timestamp, WorkerId};

use super::super::context::{Acquired, Audited};
use super::super::error::CoordinationError;
use super::super::link::{ShardFate, Unanswered};
use super::super::moves::WriteResult;

/// What a job came to.
pub(super) enum JobResult {
    Looked(Result<Scan, Error>),
    Hinted {
        leases: Vec<(LeaseKey, Option<Lease>)>,
        workers: Vec<(WorkerId, Option<WorkerRow>)>,
        at: Moment,
    },
    Audited(Result<Audited, CoordinationError>),
    Described,
    DescribedAnew(Result<(), CoordinationError>),
    /// The stream of this lease has answered this worker again.
    WithinReach(LeaseKey),
    StartTime(
        oneshot::Sender<Result<Timestamp, Unanswered>>,
        Result<Timestamp, CoordinationError>,
    ),
    Listed,
    Taken(LeaseKey, Result<Option<Acquired>, Error>),
    Requested(LeaseKey, Result<WriteResult, Error>),
    Withdrawn(LeaseKey, Result<WriteResult, Error>),
    GivenBack(LeaseKey, Result<WriteResult, Error>),
    Reaped(WorkerId, Result<(), Error>),
    Requester {
        lease: LeaseKey,
        by: WorkerId,
        row: Result<Option<WorkerRow>, Error>,
        at: Moment,
    },
    Children(
        oneshot::Sender<Result<Vec<ChildShard>, Unanswered>>,
        Result<(Vec<ChildShard>, Vec<Acquired>), CoordinationError>,
    ),
    Ending(
        oneshot::Sender<Result<EndVerdict, Unanswered>>,
        Result<EndVerdict, CoordinationError>,
    ),
    Found(oneshot::Sender<ShardFate>, ShardFate, Vec<Acquired>),
}
