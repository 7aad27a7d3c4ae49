//! The names of attributes, and the values that distinguish kinds of rows: the KCL's, and this
//! crate's with the prefix `rs`.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

/// An item, as the SDK represents it.
pub(crate) type Item = HashMap<String, AttributeValue>;

/// The only key.
pub(crate) const LEASE_KEY: &str = "leaseKey";
/// The kind of the row. Absent in leases that a KCL before 3.5 created.
pub(crate) const ENTITY_TYPE: &str = "entityType";

pub(crate) const LEASE_OWNER: &str = "leaseOwner";
pub(crate) const CHECKPOINT_OWNER: &str = "checkpointOwner";
pub(crate) const LEASE_COUNTER: &str = "leaseCounter";
pub(crate) const OWNER_SWITCHES: &str = "ownerSwitchesSinceCheckpoint";
pub(crate) const CHECKPOINT: &str = "checkpoint";
pub(crate) const CHECKPOINT_SUB: &str = "checkpointSubSequenceNumber";
pub(crate) const PENDING: &str = "pendingCheckpoint";
pub(crate) const PENDING_SUB: &str = "pendingCheckpointSubSequenceNumber";
pub(crate) const PENDING_STATE: &str = "pendingCheckpointState";
/// A set, despite its name.
pub(crate) const PARENTS: &str = "parentShardId";
pub(crate) const CHILDREN: &str = "childShardIds";
pub(crate) const STARTING_HASH_KEY: &str = "startingHashKey";
pub(crate) const ENDING_HASH_KEY: &str = "endingHashKey";
pub(crate) const STREAM_NAME: &str = "streamName";
pub(crate) const SHARD_ID: &str = "shardId";
/// The shard's throughput, as a KCL from 3.0 on has measured it.
pub(crate) const THROUGHPUT: &str = "throughputKBps";

/// This crate's, in a lease: the token of the tenancy.
pub(crate) const TOKEN: &str = "rsToken";
/// The worker whose tenancy that is. A KCL that takes the lease leaves both as they are.
pub(crate) const HOLDER: &str = "rsHolder";
pub(crate) const START_AT: &str = "rsStartAt";
pub(crate) const BEGAN_AT: &str = "rsBeganAt";
pub(crate) const STREAM_ARN: &str = "rsStreamArn";
pub(crate) const STREAM_CREATED_AT: &str = "rsStreamCreatedAt";

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
/// The worker's id, if the key cannot be the id.
pub(crate) const WORKER: &str = "rsWorker";

/// In the row of the change signal: its value and the latest announcements.
pub(crate) const SIGNAL_VALUE: &str = "rsValue";
pub(crate) const SIGNAL_RECENT: &str = "rsRecent";

/// In the row of the KCL's migration from 2.x to 3.x: the client version of the fleet.
pub(crate) const CLIENT_VERSION: &str = "cv";
/// In the row of the KCL leader: changes with each of its heartbeats.
pub(crate) const RECORD_VERSION: &str = "recordVersionNumber";

pub(crate) const KIND_LEASE: &str = "LEASE";
pub(crate) const KIND_WORKER: &str = "WORKER_METRIC_STATS";
pub(crate) const KIND_LEADER: &str = "LEADER";
pub(crate) const KIND_SIGNAL: &str = "RS_FLEET";

/// The key of the change signal's row.
pub(crate) const SIGNAL_KEY: &str = "~fleet-0";
/// The keys of the KCL's singleton rows.
pub(crate) const LEADER_KEY: &str = "Leader";
pub(crate) const MIGRATION_KEY: &str = "Migration3.0";
pub(crate) const TABLE_MIGRATION_KEY: &str = "TableMigration3.5";
