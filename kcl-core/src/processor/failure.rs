use std::fmt;
use std::time::Duration;

use crate::BoxError;
use crate::model::{LeaseKey, Position};

/// Why a batch could not be processed, and how far processing got.
///
/// `?` turns any type that implements [`std::error::Error`] into a failure of the whole batch. A
/// [`BoxError`], an `anyhow::Error` and a string do not implement it: write
/// `.map_err(Failure::new)?` for those. A handler that knows which record failed can name it with
/// [`Failure::at`]: the records before it then count as processed and are not delivered again.
///
/// ```
/// use kcl_core::{Failure, model::Record};
///
/// fn handle(records: &[Record]) -> Result<(), Failure> {
///     for record in records {
///         std::str::from_utf8(&record.data).map_err(|error| Failure::at(record, error))?;
///     }
///     Ok(())
/// }
/// ```
///
/// ```
/// use kcl_core::{BoxError, Failure};
///
/// fn parse(text: &str) -> Result<u64, std::num::ParseIntError> {
///     text.parse()
/// }
/// fn store(_amount: u64) -> Result<(), BoxError> {
///     Ok(())
/// }
/// fn check(amount: u64) -> Result<(), String> {
///     if amount > 0 { Ok(()) } else { Err("the amount is 0".to_owned()) }
/// }
///
/// fn handle(text: &str) -> Result<(), Failure> {
///     let amount = parse(text)?; // implements `Error`
///     check(amount).map_err(Failure::new)?;
///     store(amount).map_err(Failure::new)?;
///     Ok(())
/// }
/// # handle("7").unwrap();
/// # assert_eq!(handle("0").unwrap_err().to_string(), "the batch failed: the amount is 0");
/// ```
pub struct Failure {
    pub(crate) at: Option<Position>,
    pub(crate) source: BoxError,
    pub(crate) verdict: Option<FailureVerdict>,
    /// Of which shard the position is, where a call has records of several.
    pub(crate) lease: Option<LeaseKey>,
}

/// What an adapter has decided about a failure, in place of the worker's settings.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FailureVerdict {
    pub(crate) policy: OnFailure,
    /// How long until the rest of the batch is handed out again.
    pub(crate) pause: Duration,
    /// Whether the record at which the batch goes on is known to be the one that failed.
    pub(crate) names_record: bool,
}

impl Failure {
    /// The batch failed at this record. All records before it have been processed.
    pub fn at(record: &crate::model::Record, source: impl Into<BoxError>) -> Self {
        Self {
            at: Some(record.position.clone()),
            source: source.into(),
            verdict: None,
            lease: None,
        }
    }

    /// The batch failed at this position. Everything before it has been processed.
    pub fn at_position(at: Position, source: impl Into<BoxError>) -> Self {
        Self {
            at: Some(at),
            source: source.into(),
            verdict: None,
            lease: None,
        }
    }

    /// The batch failed at an unknown record.
    pub fn new(source: impl Into<BoxError>) -> Self {
        Self {
            at: None,
            source: source.into(),
            verdict: None,
            lease: None,
        }
    }

    /// The position is one of this shard.
    pub(crate) fn of_shard(mut self, lease: LeaseKey) -> Self {
        self.lease = Some(lease);
        self
    }

    /// The rest of the batch comes again after this pause, whatever the worker does otherwise.
    pub(crate) const fn again_after(mut self, pause: Duration, names_record: bool) -> Self {
        self.verdict = Some(FailureVerdict {
            policy: OnFailure::Retry,
            pause,
            names_record,
        });
        self
    }

    /// The worker stops at it, whatever it does otherwise.
    pub(crate) const fn stops(mut self) -> Self {
        self.verdict = Some(FailureVerdict {
            policy: OnFailure::Stop,
            pause: Duration::ZERO,
            names_record: true,
        });
        self
    }

    /// The position at which the batch failed, if the handler named it.
    #[must_use]
    pub const fn position(&self) -> Option<&Position> {
        self.at.as_ref()
    }

    /// The cause.
    #[must_use]
    pub fn source(&self) -> &(dyn std::error::Error + Send + Sync + 'static) {
        &*self.source
    }
}

// `Failure` itself does not implement `Error`, as in anyhow: that is what lets `?` accept every
// other error.
impl<E: std::error::Error + Send + Sync + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::new(error)
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failure")
            .field("at", &self.at)
            .field("source", &self.source)
            .finish()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.at {
            Some(at) => write!(f, "the batch failed at {at}: {}", self.source),
            None => write!(f, "the batch failed: {}", self.source),
        }
    }
}

/// What the worker does after a batch has failed.
///
/// ```
/// use kcl_core::OnFailure;
/// # use std::time::Duration;
/// # use std::sync::{Arc, Mutex};
/// # use kcl_core::processor::{ProcessRecordsInput, ShardRef};
/// # use kcl_core::worker::Event;
/// # use kcl_core::{BoxError, Failure, MemoryLeaseTable, MemoryStream, RecordProcessor, Worker};
/// # #[derive(Clone, Default)]
/// # struct Amounts(Arc<Mutex<Vec<u64>>>);
/// #
/// # impl RecordProcessor for Amounts {
/// #     async fn process_records(&mut self, input: ProcessRecordsInput) -> Result<(), Failure> {
/// #         for record in &input.records {
/// #             let text = std::str::from_utf8(&record.data).map_err(|error| Failure::at(record, error))?;
/// #             self.0.lock().unwrap().push(text.parse().map_err(|error| Failure::at(record, error))?);
/// #         }
/// #         Ok(())
/// #     }
/// # }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), BoxError> {
///
/// let stream = MemoryStream::new("amounts", 1);
/// stream.put_many([("customer", "1"), ("customer", "two"), ("customer", "3")])?;
/// # let builder = Worker::builder().stream("amounts").source(stream).application("amounts").lease_table(MemoryLeaseTable::new());
/// # let amounts = Amounts::default();
/// # let seen = amounts.clone();
/// // `Amounts` uses `Failure::at` to say which record is not a number.
/// let worker = builder.on_failure(OnFailure::Skip).processor(move |_: &ShardRef| amounts.clone()).build()?;
/// # let mut events = worker.events();
/// # let caught_up = async { while !matches!(events.next().await, Some(Event::CaughtUp { .. }) | None) {} };
/// # worker.run_until(caught_up, Duration::from_secs(10)).await?;
/// # let seen = seen.0.lock().unwrap();
/// assert_eq!(*seen, [1, 3]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnFailure {
    /// The batch is delivered again after a growing pause, without the records that have been
    /// processed, until it succeeds. The lease is kept.
    #[default]
    Retry,
    /// The worker stops, and `run` returns the cause. The checkpoint stays before the records that
    /// have not been processed.
    Stop,
    /// Only the record that the failure names is skipped, and the rest of the batch is delivered
    /// again. A failure that names no record is retried, because it is unknown which record to
    /// skip.
    Skip,
}
