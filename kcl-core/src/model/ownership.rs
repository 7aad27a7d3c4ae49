use std::fmt;
use std::sync::Arc;

use super::{LeaseKey, ShardId, StreamName};

/// The shard that a processor works on, with its stream and lease.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShardRef {
    /// The stream's name or ARN, as the application gave it.
    pub stream: StreamName,
    /// The shard.
    pub shard: ShardId,
    /// The key of its lease.
    pub lease: LeaseKey,
}

impl ShardRef {
    pub(crate) const fn new(stream: StreamName, lease: LeaseKey, shard: ShardId) -> Self {
        Self {
            stream,
            shard,
            lease,
        }
    }
}

impl fmt::Display for ShardRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The whole ARN if the stream was given by ARN: a stream of another region or account may
        // have the same name.
        write!(f, "{}/{}", self.stream, self.shard)
    }
}

/// A fencing token: a number that grows with each owner of a shard. It is the lease's counter at
/// the moment the lease was acquired.
///
/// A sink that keeps the highest fence that it has seen for a shard, and refuses writes with a
/// lower one, is safe from a stalled owner whose lease has moved on.
///
/// ```
/// use kcl_core::processor::Fence;
///
/// /// What a sink keeps for a shard, in one transaction with what is written.
/// struct Sink {
///     highest: Fence,
/// }
///
/// impl Sink {
///     fn write(&mut self, fence: Fence, _rows: &[String]) -> Result<(), &'static str> {
///         if fence < self.highest {
///             return Err("the shard has another owner by now");
///         }
///         self.highest = fence;
///         Ok(())
///     }
/// }
///
/// let mut sink = Sink { highest: Fence(0) };
/// assert!(sink.write(Fence(8), &[]).is_ok());
/// assert!(sink.write(Fence(5), &[]).is_err(), "an owner of before, which was stalled");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fence(pub u64);

/// Why a processor has lost its shard.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LossReason {
    /// The worker released the lease after it had stored the last checkpoint.
    Released,
    /// Another worker has the lease, or the lease could not be renewed in time and may therefore
    /// belong to another worker. The text names the new owner, or gives the lease table's error
    /// with all its causes.
    Lost(Arc<str>),
    /// The shard made no progress: one call of its handler took longer than its budget
    /// ([`Settings::handler_budget`](crate::worker::Settings::handler_budget)), or the shard's own
    /// task stood still. The lease was released, so that another worker can try.
    NoProgress,
    /// The stored checkpoint was edited from outside. A worker takes the lease again and continues
    /// from the edited checkpoint.
    CheckpointEdited,
    /// This worker can no longer read the shard: the stream denies access to it, or its row in the
    /// lease table is malformed.
    Unreadable(Arc<str>),
}

impl fmt::Display for LossReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Released => f.write_str("the worker released its lease"),
            Self::Lost(cause) => f.write_str(cause),
            Self::NoProgress => f.write_str(
                "the shard made no progress: its handler did not \
                return in time, or it was not read",
            ),
            Self::CheckpointEdited => f.write_str("its checkpoint was edited from outside"),
            Self::Unreadable(error) => write!(f, "the shard cannot be read: {error}"),
        }
    }
}
