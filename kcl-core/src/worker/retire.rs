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

async fn retire(parts: &WorkerParts) -> Result<usize, RetireError> {
    let settler = TableClient::new(
        Arc::clone(&parts.table),
        Arc::clone(&parts.clock),
        parts.settings.timing().call_limit,
    );
    let look = async || {
        settler
            .whole_table(Consistency::Strong)
            .await
            .map_err(RetireError::LeaseTable)
    };
    let before = look().await?;
    if let Some(span) = watch_for(&before, parts.settings.failover) {
        pause(&*parts.clock, span).await;
        let workers = alive(&before, &look().await?);
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

/// Returns whether it existed.
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
