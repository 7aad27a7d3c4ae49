//! The metrics, through the [`metrics`] facade. An application installs the recorder of its choice
//! before it builds a worker (`examples/08_metrics.rs` does it for Prometheus); without one,
//! metrics cost next to nothing. When a worker starts, it tells the recorder the unit and the
//! meaning of each metric.
//!
//! Names and units follow the conventions of Prometheus: the prefix `kcl_`, seconds and bytes,
//! `_total` for counters.
//!
//! **Labels.** `application` labels every metric. `stream`, `region`, `account` and `shard` label
//! each metric of a shard: two streams with the same name are two series. `worker` is the worker's
//! id if the application set one, and is left out if the id is random, as each start would create
//! new series; [`Builder::worker_label`](crate::worker::Builder::worker_label) can change this.
//!
//! **When a shard is given up** its gauges do not keep their last value:
//! `kcl_behind_latest_seconds` and `kcl_oldest_undone_age_seconds` are NaN from then on, and
//! `kcl_lease_held` is 0. (The facade cannot remove a gauge.) An alarm on the lag of a stream is
//! `max by (stream, region, account) (kcl_behind_latest_seconds)`, which ignores NaN.
//!
//! **If no worker reads a shard** there is no lag: `kcl_behind_latest_seconds` is NaN or absent
//! everywhere, and an alarm on it stays silent. Four more alarms cover that:
//!
//! - `sum by (stream, region, account) (kcl_lease_held)` is less than the number of open shards, or
//!   absent: some shards are not held by any worker.
//! - `max by (cause) (kcl_leases_unread)` is above 0 for minutes: shards are not read, for this
//!   cause. (A `sum` would count a lease once for each worker that reports it.)
//! - `max by (stream) (kcl_stream_failing_seconds)` is above 0 for minutes: the stream does not
//!   exist, or may not be listed.
//! - `max(kcl_lease_table_failing_seconds)` is above the failover time: the lease table is
//!   unreachable, leases are lost, and no new ones are acquired.
//!
//! | name | kind, unit | the KCL's name | what |
//! |---|---|---|---|
//! | `kcl_records_processed_total` | counter | `RecordsProcessed` | user records processed |
//! | `kcl_data_processed_bytes_total` | counter, bytes | `DataBytesProcessed` | bytes of data in them |
//! | `kcl_behind_latest_seconds` | gauge, seconds | `MillisBehindLatest` | the lag of the shard: the greatest of what the last answer said, the age of the oldest record that is not done, and the time without an answer once it is longer than usual. It grows while a shard stands still, whatever the cause |
//! | `kcl_oldest_undone_age_seconds` | gauge, seconds | | the age of the oldest record that was fetched but not yet processed; 0 if there is none |
//! | `kcl_handler_call_seconds` | gauge, seconds | | how long the current call to the handler has been running, once it exceeds `handler_warning`; otherwise 0 |
//! | `kcl_handler_calls_at_work` | gauge | | calls of a handler of records, or of a buffer, that are at work beside the calls of the processor |
//! | `kcl_handler_lanes` | gauge | | lanes of a handler of records that have records that are not done: partition keys with `by_key`, records with `unordered`; with a buffer, its partition keys |
//! | `kcl_buffer_records` | gauge | | records that a buffer has gathered and not begun to flush |
//! | `kcl_buffer_data_bytes` | gauge, bytes | | bytes of data in these records |
//! | `kcl_buffer_age_seconds` | gauge, seconds | | how long the oldest of these records has been in the buffer; 0 if there is none |
//! | `kcl_buffer_flushes_total` | counter | | flushes of a buffer that have begun, by the label `cause`: `records`, `bytes`, `age`, `room`, `end`, `leaving`, as in [`FlushCause`](crate::handler::FlushCause) |
//! | `kcl_handler_retries_total` | counter | | calls of a [handler](crate::handler) that followed a failed one: of a record, of a buffer, or of a bisected batch |
//! | `kcl_dead_letters_total` | counter | | records that were accepted as dead letters, by the label `cause`: `attempts_exhausted`, `too_old`, `permanent`, as in [`Discarded`](crate::handler::Discarded) |
//! | `kcl_dead_letters_refused_total` | counter | | deliveries of a dead letter that failed: the record is tried again |
//! | `kcl_records_skipped_total` | counter | | records that failed and were skipped, by the label `cause`, with the same values |
//! | `kcl_shard_failing_seconds` | gauge, seconds | | how long every call has failed, by the label `what`: `handler` (the current batch, or another call to the handler), `reading` (calls to the stream); 0 while calls succeed |
//! | `kcl_lease_held` | gauge, 1 or 0 | | whether this worker holds the lease of the shard |
//! | `kcl_process_records_duration_seconds` | histogram, seconds | `RecordProcessor.processRecords.Time` | duration of a call to `process_records`; with a [handler](crate::handler) of single records that is how long the shard took to accept a batch or a part of it, and the work on the records is not measured |
//! | `kcl_initialize_duration_seconds` | histogram, seconds | `RecordProcessor.initialize.Time` | duration of a call to `initialize` |
//! | `kcl_process_records_failures_total` | counter | `RecordProcessor.processRecords.Success` (0) | calls to `process_records` that failed; with a [handler](crate::handler) of single records, attempts on a record |
//! | `kcl_get_records_duration_seconds` | histogram, seconds | `KinesisDataFetcher.getRecords.Time` | duration of a `GetRecords` call that was answered |
//! | `kcl_get_records_throttled_total` | counter | | `GetRecords` calls that the service throttled |
//! | `kcl_get_records_retries_total` | counter | `KinesisDataFetcher.getRecords.Success` (0) | `GetRecords` calls that failed for another reason and were retried, by the label `cause`: `unreachable` (no connection, no answer, or no credentials available), `refused` (the service rejects the credentials or their permissions), `transient` (an error inside the service), `busy` |
//! | `kcl_expired_iterators_total` | counter | `ExpiredIterator` | shard iterators that expired and had to be replaced |
//! | `kcl_subscriptions_opened_total` | counter | | subscriptions opened by `SubscribeToShard` |
//! | `kcl_subscriptions_ended_total` | counter | | subscriptions that ended, by the label `cause`: `ended` (as they do after five minutes), `shard_end`, `silent`, `reset`, `busy` (another subscription took over), `throttled`, `gone`, `denied`, `refused`, `dropped` (the shard is not read here any more) |
//! | `kcl_subscribe_to_shard_refused_total` | counter | | `SubscribeToShard` calls that opened none, by the label `cause`, with the same values |
//! | `kcl_subscribe_to_shard_duration_seconds` | histogram, seconds | | duration of a `SubscribeToShard` call up to its first response |
//! | `kcl_subscription_events_total` | counter | | events received |
//! | `kcl_subscription_empty_events_total` | counter | | events received without a record |
//! | `kcl_subscription_received_bytes_total` | counter, bytes | | bytes of data in the records received, including the record at which each subscription after the first starts |
//! | `kcl_subscription_wait_seconds` | histogram, seconds | | time spent waiting for one event |
//! | `kcl_aggregates_total` | counter | | Kinesis records that were aggregates and were deaggregated |
//! | `kcl_corrupt_aggregates_total` | counter | | Kinesis records that start like an aggregate but are not a valid one; delivered unchanged |
//! | `kcl_user_records_out_of_range_total` | counter | | user records outside the shard's hash key range, delivered or dropped as configured |
//! | `kcl_shard_ends_refused_total` | counter | | responses that said the shard had ended while it was listed as open; reading continued where it was |
//! | `kcl_data_gaps_total` | counter | | ranges of records that expired unread, or may have |
//! | `kcl_checkpoint_duration_seconds` | histogram, seconds | `UpdateLease.Time` | duration of a call to a `Checkpointer`, until the checkpoint was acknowledged |
//! | `kcl_leases` | gauge | `CurrentLeases` | leases that this worker holds |
//! | `kcl_leases_taken_total` | counter | `TakenLeases` | leases that it took or created |
//! | `kcl_leases_lost_total` | counter | `LostLeases` | leases that it lost involuntarily |
//! | `kcl_leases_unread` | gauge | | leases that no worker reads, or that this worker cannot read, by the label `cause`: `no_room` (this worker holds `max_leases`, and no other worker takes them), `malformed` (the row in the lease table is malformed), `unreadable` (this worker could not read the shard on its last attempt) |
//! | `kcl_lease_table_failing_seconds` | gauge, seconds | | how long every read or every write of the lease table has failed; 0 while they succeed |
//! | `kcl_stream_failing_seconds` | gauge, seconds | | how long the shards of the stream could not be listed, for example because it does not exist; 0 while they can be |
//! | `kcl_byte_budget_used_bytes` | gauge, bytes | | memory counted against the byte budget |
//! | `kcl_events_total` | counter | | [events](crate::worker::Event) of the worker by the label `event`, the name of the kind in snake case, for example `handler_failed`; for `step_failed` also by the label `what`, the step that failed, and, if it was a call to a stream, `stream` |

use std::fmt;
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, Label};

use crate::model::ShardRef;
use crate::model::{StreamName, WorkerId};

mod figures;
mod lag;

pub(crate) use figures::describe_all;
pub(crate) use lag::Lag;

/// The metrics of one shard. A shard consumer owns them for one tenancy; its fetching side and its
/// checkpointer hold clones, which are handles to the same series.
#[derive(Clone)]
pub(crate) struct ShardMeters {
    /// User records whose processing has ended, not records delivered: a batch that is repeated
    /// counts once.
    records: Counter,
    bytes: Counter,
    /// The gauges. They are kept together because they end together, with the lease.
    pub(crate) lag: Lag,
    process_time: Histogram,
    initialize_time: Histogram,
    pub(crate) failed: Counter,
    /// Calls of a handler after a failed one. Unlike `failed` it counts only what is repeated.
    pub(crate) handler_retries: Counter,
    /// A dead-letter target that is down, or too small for the letters.
    pub(crate) letters_refused: Counter,
    /// Only calls that were answered. Failed calls are counted by cause instead, as their time says
    /// more about time-outs than about the service.
    read_time: Histogram,
    pub(crate) throttled: Counter,
    /// For the counters that have a cause as another label, which are looked up when they are
    /// counted.
    labels: Vec<Label>,
    pub(crate) expired: Counter,
    /// A number that grows points to a server or a proxy that reports shard ends wrongly. No record
    /// is skipped for it.
    pub(crate) ends_refused: Counter,
    /// Data loss: retention was shorter than the delay of the reader.
    pub(crate) gaps: Counter,
    pub(crate) aggregates: Counter,
    pub(crate) corrupt: Counter,
    pub(crate) out_of_range: Counter,
    /// As the application sees it, with the wait for other writes on the lease.
    checkpoint_time: Histogram,
}

impl ShardMeters {
    pub(crate) fn new(labels: &Labels) -> Self {
        let labels = &labels.0;
        Self {
            records: figures::RECORDS.counter(labels),
            bytes: figures::BYTES.counter(labels),
            lag: Lag::new(labels),
            process_time: figures::PROCESS.histogram(labels),
            initialize_time: figures::INITIALIZE.histogram(labels),
            failed: figures::PROCESS_FAILED.counter(labels),
            handler_retries: figures::HANDLER_RETRIES.counter(labels),
            letters_refused: figures::LETTERS_REFUSED.counter(labels),
            read_time: figures::GET_RECORDS.histogram(labels),
            throttled: figures::THROTTLED.counter(labels),
            labels: labels.clone(),
            expired: figures::EXPIRED.counter(labels),
            ends_refused: figures::ENDS_REFUSED.counter(labels),
            gaps: figures::GAPS.counter(labels),
            aggregates: figures::AGGREGATES.counter(labels),
            corrupt: figures::CORRUPT.counter(labels),
            out_of_range: figures::OUT_OF_RANGE.counter(labels),
            checkpoint_time: figures::CHECKPOINT.histogram(labels),
        }
    }

    /// Counts user records that are done, and the bytes of their payloads.
    pub(crate) fn done(&self, records: usize, bytes: u64) {
        self.records.increment(records as u64);
        self.bytes.increment(bytes);
    }

    /// Counts a `GetRecords` call that failed for this cause and is retried.
    pub(crate) fn retried(&self, cause: &'static str) {
        figures::RETRIED
            .counter(&with_cause(&self.labels, cause))
            .increment(1);
    }

    /// Counts a record that was accepted as a dead letter, because of `cause`.
    pub(crate) fn dead_lettered(&self, cause: &'static str) {
        figures::DEAD_LETTERS
            .counter(&with_cause(&self.labels, cause))
            .increment(1);
    }

    /// Counts a record that failed and was skipped, because of `cause`.
    pub(crate) fn skipped(&self, cause: &'static str) {
        figures::SKIPPED
            .counter(&with_cause(&self.labels, cause))
            .increment(1);
    }

    /// Counts a flush of a buffer that begins, because of `cause`.
    pub(crate) fn flushes(&self, cause: &'static str) {
        figures::FLUSHES
            .counter(&with_cause(&self.labels, cause))
            .increment(1);
    }

    /// Records a call to `process_records`, failed ones too.
    pub(crate) fn processed_in(&self, span: Duration) {
        self.process_time.record(span);
    }

    pub(crate) fn initialized_in(&self, span: Duration) {
        self.initialize_time.record(span);
    }

    /// Records a `GetRecords` call that was answered, if only with an empty page.
    pub(crate) fn read_in(&self, span: Duration) {
        self.read_time.record(span);
    }

    /// Records a call to a `Checkpointer`, from the call to the answer of the table.
    pub(crate) fn checkpointed_in(&self, span: Duration) {
        self.checkpoint_time.record(span);
    }
}

impl fmt::Debug for ShardMeters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShardMeters").finish_non_exhaustive()
    }
}

/// The metrics of a shard that is read by fan-out. They exist only then: a worker that polls
/// exports no series of subscriptions.
#[derive(Clone)]
pub(crate) struct SubscriptionMeters {
    labels: Vec<Label>,
    /// The service ends a subscription after five minutes, so each shard counts about twelve in an
    /// hour. Many more mean that subscriptions break.
    pub(crate) opened: Counter,
    pub(crate) events: Counter,
    /// The service sends an event every few seconds even if there is no record; they show that the
    /// subscription is alive.
    pub(crate) empty: Counter,
    pub(crate) bytes: Counter,
    subscribe_time: Histogram,
    wait_time: Histogram,
}

impl SubscriptionMeters {
    pub(crate) fn new(labels: &Labels) -> Self {
        let labels = &labels.0;
        Self {
            opened: figures::SUBSCRIBED.counter(labels),
            events: figures::EVENTS.counter(labels),
            empty: figures::EMPTY_EVENTS.counter(labels),
            bytes: figures::EVENT_BYTES.counter(labels),
            subscribe_time: figures::SUBSCRIBE.histogram(labels),
            wait_time: figures::EVENT_WAIT.histogram(labels),
            labels: labels.clone(),
        }
    }

    /// Counts a subscription that ended for this cause.
    pub(crate) fn ended(&self, cause: &'static str) {
        figures::SUBSCRIPTION_ENDS
            .counter(&self.with(cause))
            .increment(1);
    }

    /// Counts a `SubscribeToShard` call that opened no subscription, for this cause.
    pub(crate) fn refused(&self, cause: &'static str) {
        figures::SUBSCRIBE_REFUSED
            .counter(&self.with(cause))
            .increment(1);
    }

    /// Records how long a `SubscribeToShard` call took until its first response.
    pub(crate) fn answered_in(&self, span: Duration) {
        self.subscribe_time.record(span);
    }

    /// Records how long the shard waited for one event, an empty one included.
    pub(crate) fn waited_for(&self, span: Duration) {
        self.wait_time.record(span);
    }

    fn with(&self, cause: &'static str) -> Vec<Label> {
        with_cause(&self.labels, cause)
    }
}

impl fmt::Debug for SubscriptionMeters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubscriptionMeters").finish_non_exhaustive()
    }
}

/// The labels and a cause. Causes are constants of this crate, never texts of a server, so their
/// number is small and known.
fn with_cause(labels: &[Label], cause: &'static str) -> Vec<Label> {
    with(labels, "cause", cause)
}

/// The labels and one more.
fn with(labels: &[Label], name: &'static str, value: &'static str) -> Vec<Label> {
    let mut labels = labels.to_vec();
    labels.push(Label::new(name, value));
    labels
}

/// The labels of a stream: its name, and the region and account from its ARN (empty if the ARN is
/// not known).
fn stream_labels(stream: &StreamName, arn: Option<&str>) -> Vec<Label> {
    let mut labels = vec![Label::new("stream", stream.name().to_owned())];
    // arn:PARTITION:kinesis:REGION:ACCOUNT:stream/NAME
    let mut parts = arn
        .or_else(|| stream.arn())
        .unwrap_or_default()
        .split(':')
        .skip(3);
    for name in ["region", "account"] {
        labels.push(Label::new(
            name,
            parts.next().unwrap_or_default().to_owned(),
        ));
    }
    labels
}

/// The labels of every metric of a worker. With the application among them, two applications in one
/// process, or in one Prometheus, are two sets of series.
#[derive(Clone, Debug)]
pub(crate) struct WorkerLabels(Vec<Label>);

impl WorkerLabels {
    /// The labels of a worker of this application. `worker` is given if its id should be a label.
    pub(crate) fn new(application: &str, worker: Option<&WorkerId>) -> Self {
        let worker = worker.map(|worker| Label::new("worker", worker.as_str().to_owned()));
        let application = Label::new("application", application.to_owned());
        Self(std::iter::once(application).chain(worker).collect())
    }
}

/// The labels that distinguish the metrics of one shard from those of every other.
#[derive(Clone, Debug)]
pub(crate) struct Labels(Vec<Label>);

impl Labels {
    /// The labels of a shard in this worker. `arn` is that of its stream, if known.
    pub(crate) fn new(shard: &ShardRef, arn: Option<&str>, worker: &WorkerLabels) -> Self {
        let mut labels = stream_labels(&shard.stream, arn);
        labels.push(Label::new("shard", shard.shard.as_str().to_owned()));
        labels.extend(worker.0.iter().cloned());
        Self(labels)
    }
}

/// Counts events by their kind.
#[derive(Clone, Debug)]
pub(crate) struct EventMeters(Vec<Label>);

impl EventMeters {
    pub(crate) fn new(worker: &WorkerLabels) -> Self {
        Self(worker.0.clone())
    }

    /// Counts an event of this kind. For a `step_failed` event, with the step, and the stream
    /// if it was a call to one.
    pub(crate) fn happened(
        &self,
        kind: &'static str,
        step: Option<(&'static str, Option<&StreamName>)>,
    ) {
        let mut labels = self.0.clone();
        labels.push(Label::new("event", kind));
        if let Some((what, stream)) = step {
            labels.push(Label::new("what", what));
            labels.extend(stream.map(|stream| Label::new("stream", stream.name().to_owned())));
        }
        figures::HAPPENED.counter(&labels).increment(1);
    }
}

/// The metrics of a worker. One set for each worker of the process, whatever the number of its
/// streams.
#[derive(Clone)]
pub(crate) struct WorkerMeters {
    pub(crate) leases: Gauge,
    pub(crate) taken: Counter,
    /// Consumers that ended with `ConsumerOutcome::Lost`: another worker has the lease, its time
    /// ran out, or the writer gave it up because nothing moved. A hand-over or a release on request
    /// is none.
    pub(crate) lost: Counter,
    pub(crate) budget: Gauge,
    /// 0 while the table answers. Above the failover time, leases are being lost.
    pub(crate) table_failing: Gauge,
    /// By cause: `no_room`, `malformed`, `unreadable`.
    ///
    /// Set by every report, every few seconds, so that a cause that has ended goes back to 0.
    pub(crate) unread: [Gauge; 3],
    labels: Vec<Label>,
}

impl WorkerMeters {
    pub(crate) fn new(worker: &WorkerLabels) -> Self {
        let labels = worker.0.clone();
        Self {
            leases: figures::LEASES.gauge(&labels),
            taken: figures::TAKEN.counter(&labels),
            lost: figures::LOST.counter(&labels),
            budget: figures::BUDGET.gauge(&labels),
            table_failing: figures::TABLE_FAILING.gauge(&labels),
            unread: ["no_room", "malformed", "unreadable"]
                .map(|cause| figures::UNREAD.gauge(&with_cause(&labels, cause))),
            labels,
        }
    }

    /// Sets for how long the shards of this stream could not be listed.
    pub(crate) fn stream_fails(&self, stream: &StreamName, arn: Option<&str>, span: Duration) {
        let mut labels = stream_labels(stream, arn);
        labels.extend(self.labels.iter().cloned());
        figures::STREAM_FAILING
            .gauge(&labels)
            .set(span.as_secs_f64());
    }
}

impl fmt::Debug for WorkerMeters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerMeters").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{LeaseKey, ShardId};

    #[test]
    fn streams_of_one_name_are_told_apart_in_labels_and_texts() {
        let [eu, us] = ["eu-west-1", "us-east-1"].map(|region| {
            let arn = format!("arn:aws:kinesis:{region}:123456789012:stream/orders");
            let shard = ShardId::new("shardId-000000000000");
            let shard = ShardRef::new(arn.parse().unwrap(), LeaseKey::single(shard.clone()), shard);
            let worker = WorkerLabels::new("billing", None);
            let labels = Labels::new(&shard, None, &worker).0;
            let labels: Vec<_> = labels
                .iter()
                .map(|label| format!("{}={}", label.key(), label.value()))
                .collect();
            (labels.join(" "), shard.to_string())
        });
        assert_eq!(
            eu.0,
            "stream=orders region=eu-west-1 account=123456789012 shard=shardId-000000000000 \
             application=billing"
        );
        assert!(eu.0 != us.0 && eu.1 != us.1, "{eu:?} {us:?}");
    }
}
