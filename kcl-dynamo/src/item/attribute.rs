//! The names of attributes, and the values that distinguish kinds of rows: the KCL's, and this
//! crate's with the prefix `rs`.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

/// An item, as the SDK represents it.
pub(crate) type Item = HashMap<String, AttributeValue>;

/// The only key, of type S: a shard, or stream and shard; for rows that are not leases, a worker or
/// a fixed name.
pub(crate) const LEASE_KEY: &str = "leaseKey";
/// The kind of the row. Absent in leases that a KCL before 3.5 created.
pub(crate) const ENTITY_TYPE: &str = "entityType";

/// The worker that holds the lease or, while a hand-over is pending, the one that has requested it.
pub(crate) const LEASE_OWNER: &str = "leaseOwner";
/// While a hand-over is pending, the worker that still reads and may write. Known to the KCL from
/// 3.0 on.
pub(crate) const CHECKPOINT_OWNER: &str = "checkpointOwner";
/// The counter: heartbeat of the owner and fence of every write. In no row but that of a lease.
pub(crate) const LEASE_COUNTER: &str = "leaseCounter";
/// How many times the owner has changed since the last checkpoint.
pub(crate) const OWNER_SWITCHES: &str = "ownerSwitchesSinceCheckpoint";
/// A sequence number as decimal text, or the name of a sentinel.
pub(crate) const CHECKPOINT: &str = "checkpoint";
/// The place within an aggregate; 0 for a sentinel.
pub(crate) const CHECKPOINT_SUB: &str = "checkpointSubSequenceNumber";
/// The prepared checkpoint, in the same form.
pub(crate) const PENDING: &str = "pendingCheckpoint";
pub(crate) const PENDING_SUB: &str = "pendingCheckpointSubSequenceNumber";
/// What the application has stored with the prepared checkpoint, as bytes.
pub(crate) const PENDING_STATE: &str = "pendingCheckpointState";
/// A set, despite its name.
pub(crate) const PARENTS: &str = "parentShardId";
/// A set, absent until the shard has ended.
pub(crate) const CHILDREN: &str = "childShardIds";
/// The hash key range as decimal text, because a number of DynamoDB has 38 digits and a hash key
/// 39.
pub(crate) const STARTING_HASH_KEY: &str = "startingHashKey";
pub(crate) const ENDING_HASH_KEY: &str = "endingHashKey";
/// The stream in the KCL's serialised form, in an application that reads several; also part of the
/// key.
pub(crate) const STREAM_NAME: &str = "streamName";
/// The shard, beside [`STREAM_NAME`].
pub(crate) const SHARD_ID: &str = "shardId";
/// What the shard carries in units of 1,024 bytes per second, a decimal number. A KCL from 3.0 on
/// writes it, too.
pub(crate) const THROUGHPUT: &str = "throughputKBps";

/// This crate's, in a lease: the token of the tenancy.
pub(crate) const TOKEN: &str = "rsToken";
/// The worker whose tenancy that is. A KCL that takes the lease leaves both as they are.
pub(crate) const HOLDER: &str = "rsHolder";
/// The time at which the shard is opened until there is a checkpoint, in milliseconds since 1970.
pub(crate) const START_AT: &str = "rsStartAt";
/// The time at which the lease began, once it has had a checkpoint, in milliseconds since 1970.
pub(crate) const BEGAN_AT: &str = "rsBeganAt";
/// The stream, by which an operator's tool finds it.
pub(crate) const STREAM_ARN: &str = "rsStreamArn";
/// Tells a stream from one of the same name that was deleted, in milliseconds since 1970.
pub(crate) const STREAM_CREATED_AT: &str = "rsStreamCreatedAt";
/// The user records per second, beside [`THROUGHPUT`]. Absent if there are none: every scan reads
/// the rows of all idle shards.
pub(crate) const RECORDS: &str = "rsRecords";
/// When an operator paused the shard. A KCL does not know it, and reads on.
pub(crate) const PAUSED_AT: &str = "rsPausedAt";
/// The process of a worker that an operator moves the lease to. A KCL does not know it.
pub(crate) const ASSIGNED_TO: &str = "rsAssignedTo";

/// The KCL's, in a row of worker metrics: last update, statistics, operating range, support level,
/// and when the support level was written.
pub(crate) const LAST_UPDATE: &str = "lut";
pub(crate) const STATISTICS: &str = "sts";
pub(crate) const OPERATING_RANGE: &str = "opr";
pub(crate) const SUPPORT: &str = "sup";
pub(crate) const SUPPORT_UPDATE: &str = "slu";

/// This crate's, in a row of worker metrics. The first one marks it as a row of this crate.
pub(crate) const INCARNATION: &str = "rsIncarnation";
pub(crate) const WORKER_COUNTER: &str = "rsCounter";
pub(crate) const FAILOVER: &str = "rsFailoverNanos";
pub(crate) const LEAVING: &str = "rsLeaving";
pub(crate) const AUDITS: &str = "rsAudits";
/// What shows that the worker's leases are held, and for which incarnation that is said.
pub(crate) const KEEP_ALIVE: &str = "rsKeepAlive";
/// How often operators have begun or ended to drain it, and for which incarnation that is said.
pub(crate) const DRAINS: &str = "rsDrains";
/// How far behind its leases are, and for which incarnation that is said.
pub(crate) const LAG: &str = "rsLag";
/// What it can carry, in thousandths. Absent if it does not declare that.
pub(crate) const CAPACITY: &str = "rsCapacityMillis";
/// The worker's id, if the key cannot be the id.
pub(crate) const WORKER: &str = "rsWorker";

/// In the row of the change signal: its value and the latest announcements.
pub(crate) const SIGNAL_VALUE: &str = "rsValue";
pub(crate) const SIGNAL_RECENT: &str = "rsRecent";

/// In the row of the KCL's migration from 2.x to 3.x: the client version of the fleet.
pub(crate) const CLIENT_VERSION: &str = "cv";
/// In the row of the KCL leader: changes with each of its heartbeats.
pub(crate) const RECORD_VERSION: &str = "recordVersionNumber";

/// Values of `entityType`. The KCL's three come first.
pub(crate) const KIND_LEASE: &str = "LEASE";
pub(crate) const KIND_WORKER: &str = "WORKER_METRIC_STATS";
pub(crate) const KIND_LEADER: &str = "LEADER";
/// This crate's. A live KCL 3.x leader logs that it cannot read such a row, and leaves it alone.
pub(crate) const KIND_SIGNAL: &str = "RS_FLEET";

/// The key of the change signal's row.
pub(crate) const SIGNAL_KEY: &str = "~fleet-0";
/// The keys of the KCL's singleton rows.
pub(crate) const LEADER_KEY: &str = "Leader";
pub(crate) const MIGRATION_KEY: &str = "Migration3.0";
pub(crate) const TABLE_MIGRATION_KEY: &str = "TableMigration3.5";
