use std::error::Error;
use std::fmt;

use crate::BoxError;

/// The error of a call after which the processor is of no use any more, and with it everything that
/// it did after the stored checkpoint: the process that did the work has died, or a buffer is lost.
///
/// As the error of [`process_records`](super::RecordProcessor::process_records),
/// [`idle`](super::RecordProcessor::idle) or [`shard_ended`](super::RecordProcessor::shard_ended), it
/// makes the worker drop the processor without another call. After a pause that grows as long as the
/// checkpoint does not, the factory makes another one, `initialize` is called, and reading begins
/// again at the stored checkpoint, as it would with another worker. The lease is kept.
///
/// For any other error, the same processor gets the same records again, which is not enough where it
/// has lost records of *earlier* batches that it had not checkpointed yet. It is meant for
/// [`Checkpoints::Manual`](crate::worker::Checkpoints::Manual); where checkpoints are automatic, a
/// batch counts as processed once its call has returned `Ok`.
///
/// The worker's [`OnFailure`](crate::OnFailure) has no say in it. In an adapter of
/// [`handler`](crate::handler) it is a failure like any other.
///
/// ```
/// use kcl_core::Failure;
/// use kcl_core::processor::StartOver;
///
/// fn write(connection: &mut impl std::io::Write, data: &[u8]) -> Result<(), Failure> {
///     // What was written before, and not flushed, is lost together with the connection.
///     connection.write_all(data).map_err(StartOver::because)?;
///     Ok(())
/// }
/// # assert!(write(&mut std::io::Cursor::new([0; 2]).get_mut().as_mut_slice(), b"three").is_err());
/// ```
pub struct StartOver {
    source: BoxError,
}

impl StartOver {
    /// Because of this.
    pub fn because(source: impl Into<BoxError>) -> Self {
        Self {
            source: source.into(),
        }
    }
}

impl fmt::Display for StartOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the processor starts over at the stored checkpoint")
    }
}

impl fmt::Debug for StartOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StartOver").field(&self.source).finish()
    }
}

impl Error for StartOver {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.source)
    }
}
