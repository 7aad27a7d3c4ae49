use std::fmt;
use std::sync::Arc;

use super::{LeaseKey, ShardId, StreamName};

/// Which shard of which stream a processor works on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShardRef {
    /// The stream as the application named it.
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
        // The whole ARN where the stream was named by it: another one, of another region or
        // account, may have the same name.
        write!(f, "{}/{}", self.stream, self.shard)
    }
}

/// A number that only grows from owner to owner of a shard: the lease's counter at the acquisition.
///
/// A sink that keeps the highest fence it has seen for a shard, and refuses writes with a lower
/// one, is safe from an owner that was stalled while its lease moved on.
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

/// Why a shard is not a processor's any more.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LossReason {
    /// The worker gave the lease up, with the last checkpoint stored.
    Released,
    /// Somebody else has the lease, or nobody knows: it could not be renewed in time. With who has
    /// it, or why it could not be renewed: what the lease table said, with all causes.
    Lost(Arc<str>),
    /// The shard made no progress: its handler was inside one call for longer than its budget
    /// ([`Settings::handler_budget`](crate::worker::Settings::handler_budget)), or its loop stood
    /// still. The lease was freed, so that somebody else can try.
    NoProgress,
    /// Somebody edited the stored checkpoint. The shard is taken again, and goes on from there.
    CheckpointEdited,
    /// The shard cannot be read by this worker any more: the stream refuses it, or its row in the
    /// lease table is malformed.
    Unreadable(Arc<str>),
}

impl fmt::Display for LossReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Released => f.write_str("it was given up"),
            Self::Lost(cause) => f.write_str(cause),
            Self::NoProgress => f.write_str("the shard made no progress: its handler did not return in time, or it was not read"),
            Self::CheckpointEdited => f.write_str("somebody edited its checkpoint"),
            Self::Unreadable(error) => write!(f, "the shard cannot be read: {error}"),
        }
    }
}
