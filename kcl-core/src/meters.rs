//! What is measured, through the [`metrics`] facade. An application installs the recorder of its choice; without one, measuring costs
//! next to nothing.
//!
//! The names are the KCL's in snake case where the KCL has one. Labels: `stream`, `shard` (both only where a figure belongs to a
//! shard) and `worker`.
//!
//! | name | kind, unit | what |
//! |---|---|---|
//! | `records_processed` | counter | user records in batches that were processed |
//! | `data_bytes_processed` | counter, bytes | their content |
//! | `millis_behind_latest` | gauge, ms | the lag of the shard as of its last page |
//! | `record_processor_process_records_time` | histogram, ms | one call of `process_records` |
//! | `record_processor_initialize_time` | histogram, ms | one call of `initialize` |
//! | `record_processor_process_records_failed` | counter | calls of `process_records` that failed |
//! | `kinesis_data_fetcher_get_records_time` | histogram, ms | one `GetRecords` |
//! | `kinesis_data_fetcher_get_records_throttled` | counter | `GetRecords` that the service refused for their rate |
//! | `kinesis_data_fetcher_get_records_retried` | counter | other `GetRecords` that were tried again |
//! | `expired_iterator` | counter | iterators that had to be made anew |
//! | `subscriptions_opened` | counter | subscriptions that `SubscribeToShard` has made |
//! | `subscription_ends` | counter | how they were over, by the label `cause`: `ended` (as they do after five minutes), `shard_end`, `silent`, `reset`, `busy` (another subscription took over), `throttled`, `gone`, `denied`, `refused`, `dropped` (the shard is not read here any more) |
//! | `subscribe_to_shard_refused` | counter | calls of `SubscribeToShard` that made none, by the label `cause`, with the same values |
//! | `subscribe_to_shard_time` | histogram, ms | one call of `SubscribeToShard`, up to its first answer |
//! | `subscription_events` | counter | events that came |
//! | `subscription_empty_events` | counter | those of them without a record |
//! | `subscription_bytes` | counter, bytes | the content of the others, with the record that each subscription after the first begins at |
//! | `subscription_wait_time` | histogram, ms | one wait for an event |
//! | `aggregates` | counter | Kinesis records that were aggregates and were taken apart |
//! | `corrupt_aggregates` | counter | Kinesis records that begin like an aggregate and are none, handed on as they are |
//! | `user_records_out_of_range` | counter | user records outside the shard's hash key range, handed on or dropped as set |
//! | `data_gaps` | counter | stretches that were, or may have been, lost to retention |
//! | `update_lease_time` | histogram, ms | one call of a `Checkpointer`, from the order to its acknowledgement |
//! | `current_leases` | gauge | leases that this worker holds |
//! | `taken_leases` | counter | leases that it took or made |
//! | `lost_leases` | counter | leases that it lost against its will |
//! | `byte_budget_used` | gauge, bytes | what the byte budget counts |

use std::fmt;
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, Label, counter, gauge, histogram};

use crate::model::WorkerId;
use crate::processor::ShardRef;

/// The figures of one shard.
#[derive(Clone)]
pub(crate) struct ShardMeters {
    pub(crate) records: Counter,
    pub(crate) bytes: Counter,
    pub(crate) lag: Gauge,
    process_time: Histogram,
    initialize_time: Histogram,
    pub(crate) failed: Counter,
    read_time: Histogram,
    pub(crate) throttled: Counter,
    pub(crate) retried: Counter,
    pub(crate) expired: Counter,
    pub(crate) gaps: Counter,
    pub(crate) aggregates: Counter,
    pub(crate) corrupt: Counter,
    pub(crate) out_of_range: Counter,
    checkpoint_time: Histogram,
}

impl ShardMeters {
    pub(crate) fn new(shard: &ShardRef, worker: &WorkerId) -> Self {
        let labels = labels_of(shard, worker);
        Self {
            records: counter!("records_processed", labels.clone()),
            bytes: counter!("data_bytes_processed", labels.clone()),
            lag: gauge!("millis_behind_latest", labels.clone()),
            process_time: histogram!("record_processor_process_records_time", labels.clone()),
            initialize_time: histogram!("record_processor_initialize_time", labels.clone()),
            failed: counter!("record_processor_process_records_failed", labels.clone()),
            read_time: histogram!("kinesis_data_fetcher_get_records_time", labels.clone()),
            throttled: counter!("kinesis_data_fetcher_get_records_throttled", labels.clone()),
            retried: counter!("kinesis_data_fetcher_get_records_retried", labels.clone()),
            expired: counter!("expired_iterator", labels.clone()),
            gaps: counter!("data_gaps", labels.clone()),
            aggregates: counter!("aggregates", labels.clone()),
            corrupt: counter!("corrupt_aggregates", labels.clone()),
            out_of_range: counter!("user_records_out_of_range", labels.clone()),
            checkpoint_time: histogram!("update_lease_time", labels),
        }
    }

    pub(crate) fn processed_in(&self, span: Duration) {
        self.process_time.record(millis(span));
    }

    pub(crate) fn initialized_in(&self, span: Duration) {
        self.initialize_time.record(millis(span));
    }

    pub(crate) fn read_in(&self, span: Duration) {
        self.read_time.record(millis(span));
    }

    pub(crate) fn checkpointed_in(&self, span: Duration) {
        self.checkpoint_time.record(millis(span));
    }
}

impl fmt::Debug for ShardMeters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShardMeters").finish_non_exhaustive()
    }
}

/// The figures of a shard that is read by fan-out.
#[derive(Clone)]
pub(crate) struct SubscriptionMeters {
    labels: Vec<Label>,
    pub(crate) opened: Counter,
    pub(crate) events: Counter,
    pub(crate) empty: Counter,
    pub(crate) bytes: Counter,
    subscribe_time: Histogram,
    wait_time: Histogram,
}

impl SubscriptionMeters {
    pub(crate) fn new(shard: &ShardRef, worker: &WorkerId) -> Self {
        let labels = labels_of(shard, worker);
        Self {
            opened: counter!("subscriptions_opened", labels.clone()),
            events: counter!("subscription_events", labels.clone()),
            empty: counter!("subscription_empty_events", labels.clone()),
            bytes: counter!("subscription_bytes", labels.clone()),
            subscribe_time: histogram!("subscribe_to_shard_time", labels.clone()),
            wait_time: histogram!("subscription_wait_time", labels.clone()),
            labels,
        }
    }

    /// A subscription is over for this cause.
    pub(crate) fn ended(&self, cause: &'static str) {
        counter!("subscription_ends", self.with(cause)).increment(1);
    }

    /// A call made no subscription for this cause.
    pub(crate) fn refused(&self, cause: &'static str) {
        counter!("subscribe_to_shard_refused", self.with(cause)).increment(1);
    }

    pub(crate) fn answered_in(&self, span: Duration) {
        self.subscribe_time.record(millis(span));
    }

    pub(crate) fn waited_for(&self, span: Duration) {
        self.wait_time.record(millis(span));
    }

    fn with(&self, cause: &'static str) -> Vec<Label> {
        let mut labels = self.labels.clone();
        labels.push(Label::new("cause", cause));
        labels
    }
}

impl fmt::Debug for SubscriptionMeters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubscriptionMeters").finish_non_exhaustive()
    }
}

fn labels_of(shard: &ShardRef, worker: &WorkerId) -> Vec<Label> {
    vec![
        Label::new("stream", shard.stream.name().to_owned()),
        Label::new("shard", shard.shard.as_str().to_owned()),
        Label::new("worker", worker.as_str().to_owned()),
    ]
}

/// The figures of a worker.
#[derive(Clone)]
pub(crate) struct WorkerMeters {
    pub(crate) leases: Gauge,
    pub(crate) taken: Counter,
    pub(crate) lost: Counter,
    pub(crate) budget: Gauge,
}

impl WorkerMeters {
    pub(crate) fn new(worker: &WorkerId) -> Self {
        let labels = vec![Label::new("worker", worker.as_str().to_owned())];
        Self {
            leases: gauge!("current_leases", labels.clone()),
            taken: counter!("taken_leases", labels.clone()),
            lost: counter!("lost_leases", labels.clone()),
            budget: gauge!("byte_budget_used", labels),
        }
    }
}

impl fmt::Debug for WorkerMeters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerMeters").finish_non_exhaustive()
    }
}

fn millis(span: Duration) -> f64 {
    span.as_secs_f64() * 1000.0
}
