//! How the registered consumers of an application are removed when it is retired for good.
//!
//! A stream can have 20 registered consumers by default, and each is charged by the hour for every
//! shard, so one that is left behind costs money and a place. But a consumer that is removed under
//! a running worker ends all its subscriptions. So the table is asked first whether a worker is
//! alive, by the same evidence as among workers: a counter that moves.
//!
//! ```text
//!   scan -- nobody named -----------------------------------------> remove
//!     |
//!     +---- workers named -- wait -- scan -- counters moved? -- no --> remove
//!                                               |
//!                                               +-- yes --> RetireError::AtWork
//! ```

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::decide::retirement::{alive, watch_for};
use crate::fetch::bounded;
use crate::lease::{self, Consistency, with_causes};
use crate::model::{StreamName, WorkerId};
use crate::runtime::pause;
use crate::stream::{self, ErrorKind, FanOut};
use crate::tenancy::table_client::TableClient;

use super::worker::{Worker, WorkerParts};

/// Why the consumers of an application were not removed, or not all of them.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RetireError {
    /// Workers of the application are running.
    #[error(
        "cannot remove consumers while workers of this application are running: {}; stop them \
         first",
        list(workers)
    )]
    AtWork {
        /// The workers that are alive.
        workers: BTreeSet<WorkerId>,
    },
    /// The lease table, which shows the running workers, cannot be read.
    #[error("the lease table cannot be read: {}", with_causes(.0))]
    LeaseTable(#[source] lease::Error),
    /// A consumer cannot be removed.
    #[error(
        "the consumer of the stream {stream} cannot be removed: {}",
        with_causes(source)
    )]
    Stream {
        /// The stream.
        stream: StreamName,
        /// The service's error.
        #[source]
        source: stream::Error,
    },
}

/// For the error message: ids in their order, separated by commas.
fn list(workers: &BTreeSet<WorkerId>) -> String {
    let names: Vec<&str> = workers.iter().map(WorkerId::as_str).collect();
    names.join(", ")
}

impl Worker {
    /// Removes the registered consumers that belong to this application
    /// ([`FanOutConfig::managed`](super::FanOutConfig::managed)) from the streams of this worker,
    /// and returns how many were removed. Call it for an application that will not run again: stopping
    /// a worker does not remove consumers, because a restart would then have to register them
    /// again. Shared and external consumers are left alone.
    ///
    /// Nothing is removed while a worker of the application is alive. If the table names workers,
    /// it is watched for as long as a live worker may be silent, at least the failover time. A
    /// worker that starts later registers the consumer again.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    ///
    /// use kcl_core::worker::{Event, FanOutConfig, Mode};
    /// use kcl_core::{MemoryLeaseTable, MemoryStream, Worker};
    /// # use kcl_core::{BoxError, Failure, RecordProcessor, processor::{ProcessRecordsInput, ShardRef}};
    /// # struct Orders;
    /// # impl RecordProcessor for Orders {
    /// #     async fn process_records(&mut self, _: ProcessRecordsInput) -> Result<(), Failure> { Ok(()) }
    /// # }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), BoxError> {
    /// let stream = MemoryStream::new("orders", 1);
    /// stream.put("customer-7", "an order")?;
    /// let worker = Worker::builder()
    ///     .stream("orders")
    ///     .source(stream)
    ///     .application("billing")
    ///     .mode(Mode::FanOut(FanOutConfig::managed()))
    ///     .lease_table(MemoryLeaseTable::new())
    ///     .processor(|_: &ShardRef| Orders)
    ///     .build()?;
    /// let mut events = worker.events();
    /// let started = async { while !matches!(events.next().await, Some(Event::CaughtUp { .. }) | None) {} };
    /// worker.run_until(started, Duration::from_secs(10)).await?;
    ///
    /// assert_eq!(worker.retire_consumers().await?, 1, "the run registered it");
    /// assert_eq!(worker.retire_consumers().await?, 0, "it is gone");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If workers are running, the lease table cannot be read, or the service rejects a call. It
    /// can be called again.
    ///
    /// # Cancel safety
    /// Consumers that have been removed stay removed; the next call continues with the rest.
    pub async fn retire_consumers(&self) -> Result<usize, RetireError> {
        retire(self.parts()).await
    }
}

/// Watches the table, then removes the consumers one stream after the other.
///
/// The reads are strongly consistent: a stale row would look like one that does not move. A worker
/// that starts between the second scan and the removal is not seen. It loses its subscriptions, and
/// registers the consumer again.
async fn retire(parts: &WorkerParts) -> Result<usize, RetireError> {
    let client = TableClient::new(
        Arc::clone(&parts.table),
        Arc::clone(&parts.clock),
        parts.settings.timing().call_limit,
    );
    let look = async || {
        client
            .whole_table(Consistency::Strong)
            .await
            .map_err(RetireError::LeaseTable)
    };
    let before = look().await?;
    if let Some(span) = watch_for(&before, parts.settings.failover) {
        pause(&*parts.clock, span).await;
        let workers = alive(&before, &look().await?, span);
        if !workers.is_empty() {
            return Err(RetireError::AtWork { workers });
        }
    }
    let mut removed = 0;
    for stream in parts.streams.all() {
        let refused = |source| RetireError::Stream {
            stream: stream.name.clone(),
            source,
        };
        let Some(consumer) = stream
            .consumer
            .as_ref()
            .filter(|consumer| consumer.is_managed)
        else {
            continue;
        };
        let source = stream.source().await.map_err(refused)?;
        let Some(fan_out) = source.fan_out() else {
            continue;
        };
        let removing = remove(&fan_out, &consumer.which);
        let was_there = bounded(
            &*parts.clock,
            parts.settings.call_limit,
            "DeregisterStreamConsumer",
            removing,
        )
        .await;
        removed += usize::from(was_there.map_err(refused)?);
    }
    Ok(removed)
}

/// Removes one consumer. Returns whether it existed; one that is already gone is no error, so an
/// interrupted call can be repeated.
async fn remove(
    fan_out: &Arc<dyn FanOut>,
    which: &stream::WhichConsumer,
) -> Result<bool, stream::Error> {
    match fan_out.describe_consumer(which).await {
        Ok(consumer) => {
            fan_out.deregister_consumer(&consumer.arn).await?;
            tracing::info!(consumer = %consumer.arn, "removed the consumer of a retired \
                application");
            Ok(true)
        }
        Err(error) if error.kind == ErrorKind::Gone => Ok(false),
        Err(error) => Err(error),
    }
}
