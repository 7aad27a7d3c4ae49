//! The lease table of the `kcl-core` consumer framework in DynamoDB. Its rows are those of the Java
//! Kinesis Client Library (KCL): an application can move from the KCL 1.x, 2.x or 3.x to this
//! framework and back without changing its table.
//!
//! ```text
//!   LeaseTable (kcl-core)
//!       | Expect, Edits                      rows of several kinds
//!   expression -> call -> DynamoDB -> item -> Lease, WorkerRow, ChangeSignal
//!                                      |
//!                                  kcl_compat: restrictions because of Java workers
//! ```
//!
//! ```no_run
//! # async fn open() -> Result<(), Box<dyn std::error::Error>> {
//! use kcl_core::lease::LeaseTable;
//! use kcl_dynamo::DynamoLeaseTable;
//!
//! // Region and credentials come from the environment; the table is named after the application, as with the KCL.
//! let table = DynamoLeaseTable::open("billing").await?;
//! table.setup().await?;
//! # Ok(())
//! # }
//! ```
//!
//! # How it keeps the contract
//!
//! - **A write is one conditional call**, `PutItem`, `UpdateItem` or `DeleteItem`, which returns
//!   the row as it is afterwards, or the row that did not meet the condition. No update creates a
//!   row: each expects an attribute that only a lease has. Only the row of the change signal is
//!   written even if it does not exist.
//! - **The SDK does not retry.** A retry after a first attempt that had been applied would fail its
//!   condition, as if another worker had been first. A write without an answer is
//!   [`Unknown`](kcl_core::lease::Error::Unknown); a call that was rejected before anything was
//!   done is [`Throttled`](kcl_core::lease::Error::Throttled). The caller decides whether to retry.
//! - **Every call has a time limit**, by default 2 s ([`OpenOptions::call_limit`]), which suits the
//!   default failover time of 10 s.
//! - **At most 64 writes of owners and 16 other writes are in flight at once.** A worker with
//!   thousands of leases whose renewals are due at the same time sends them as earlier ones are
//!   answered, instead of overloading a table that then answers none in time. A write that has
//!   waited for a quarter of the call limit fails with `Throttled` and is not sent.
//! - **Reads of a single row are strongly consistent**, except of the change signal, which is read
//!   again in the next second anyway. A scan has the requested consistency.
//! - **Unknown attributes and rows are left alone** and survive every write. A malformed lease does
//!   not affect the others: its shard is not read, and the worker reports it, until the row is
//!   repaired.
//!
//! # The table
//!
//! The table has a single key, `leaseKey` (HASH, S), and needs no index. The KCL's
//! `LeaseOwnerToLeaseKeyIndex` does no harm, but costs a write for each change of `leaseOwner`.
//! [`setup`](kcl_core::lease::LeaseTable::setup) creates a missing table ([`OpenOptions::create`])
//! with on-demand capacity, or checks the existing one. To create the table with CloudFormation:
#![doc = concat!("```json\n", include_str!("../docs/cloudformation.json"), "```")]
//!
//! With Terraform:
#![doc = concat!("```hcl\n", include_str!("../docs/table.tf"), "```")]
//!
//! A lease has the KCL's attributes: `leaseKey` (the shard, or `account:stream:creation:shard` in
//! an application that reads several streams), `entityType` = `LEASE` (in rows that this crate or a
//! KCL from 3.5 on has created), `leaseOwner`, `checkpointOwner`, `leaseCounter`,
//! `ownerSwitchesSinceCheckpoint`, `checkpoint`, `checkpointSubSequenceNumber`,
//! `pendingCheckpoint`, `pendingCheckpointSubSequenceNumber`, `pendingCheckpointState`,
//! `parentShardId` (a set), `childShardIds`, `startingHashKey`, `endingHashKey`, `streamName`,
//! `shardId`. This crate adds the following, which the KCL leaves alone:
//!
//! | attribute | type | holds |
//! |---|---|---|
//! | `rsToken` | S | the token of the current tenancy; absent in a lease that no worker of this framework holds |
//! | `rsHolder` | S | the worker whose tenancy that is: if the row names another owner, a KCL has taken the lease and left both attributes as they were |
//! | `rsStartAt` | N | milliseconds since 1970: the time that `LATEST` or `AT_TIMESTAMP` stands for in this row; absent once there is a checkpoint |
//! | `rsBeganAt` | N | the same in a row that has had a checkpoint: the time at which the lease began |
//! | `rsRecords` | N | the user records that arrive in the shard per second, as its owner has measured them; absent if there are none; the bytes are in the KCL's `throughputKBps` |
//! | `rsPausedAt` | N | milliseconds since 1970: when an operator paused the shard; absent if it is not paused |
//! | `rsAssignedTo` | S | the worker that an operator moves the lease to: the incarnation, a space and the worker's id; absent if there is none |
//! | `rsStreamArn` | S | the stream's ARN |
//! | `rsStreamCreatedAt` | N | milliseconds since 1970: when the stream was created |
//!
//! Besides leases, unless Java workers make it impossible (see below), the table has these rows:
//!
//! | row | holds |
//! |---|---|
//! | the worker's id (or `~worker-` and the id, if the id could be the key of another row) | a worker, in the form of the KCL 3.5's row of worker metrics (`entityType` = `WORKER_METRIC_STATS`, `lut`, `slu`, `sup`, empty `sts` and `opr`) with this crate's own attributes: `rsWorker`, `rsIncarnation`, `rsCounter`, `rsFailoverNanos`, `rsLeaving`, `rsAudits`, `rsCapacityMillis`, `rsKeepAlive`, `rsDrains`, `rsLag`. When a worker leaves, `lut` and `slu` are set to 0, so that for the KCL it is gone before its leases are free |
//! | `~fleet-0` | the change signal: `entityType` = `RS_FLEET`, `rsValue`, and in `rsRecent` the latest announcements, at most 64 and 3.6 KB |
//!
//! # Permissions
//!
//! `MakeTheTable` is needed only if a missing table is created (`TagResource` for tags,
//! `UpdateContinuousBackups` for recovery). The two statements whose names begin with `BesideJava`
//! are needed if a KCL has ever used the table. A missing permission is found at the start: `setup`
//! reads the table, and makes each kind of write once with a condition that never holds.
#![doc = concat!("```json\n", include_str!("../docs/policy.json"), "```")]
//!
//! # What it costs
//!
//! In capacity units per hour, with the default failover time of 10 s. A row is smaller than 1 KB,
//! so a write is one unit. B is the size of the table in bytes: about 410 per lease and 350 per
//! worker, and up to 450 more of a worker whose leases are behind or stand still.
//!
//! | what | write units | read units |
//! |---|---|---|
//! | an idle lease, which heartbeats hold ([`Liveness::Auto`](kcl_core::worker::Liveness::Auto), the default) | 0 | |
//! | the same with progress: a checkpoint in every [`checkpoint_every`](kcl_core::worker::Settings::checkpoint_every), 5 s by default | 720 | |
//! | an idle lease with [`Liveness::Compatible`](kcl_core::worker::Liveness::Compatible): its counter, every 7 s | 514 | |
//! | an idle lease beside Java workers, or with [`Liveness::Kcl`](kcl_core::worker::Liveness::Kcl): a renewal every 3.3 s | 1,080 | |
//! | the same with progress: its renewals include the checkpoint | 1,080; more if `checkpoint_every` is below 3.3 s | |
//! | a worker's heartbeat, every 3.3 s | 1,080 | |
//! | a worker's reads of the change signal, every 0.65 s | | 2,770 |
//! | a worker's scans, every 30 s while the fleet is quiet: heartbeats hold all leases and nothing has changed for 10 s; or while it holds every lease and there is no other worker | | 120 x ⌈B / 4096⌉ / 2 |
//! | the same of one worker of the application, where heartbeats hold the leases by [`Liveness::Auto`](kcl_core::worker::Liveness::Auto): every 5 s | | 720 x ⌈B / 4096⌉ / 2 |
//! | otherwise: a worker's scans, every 2 s | | 1,800 x ⌈B / 4096⌉ / 2 |
//! | the audit, which compares the rows with the shards, every 60 s, by one worker of the application: a consistent scan | | 60 x ⌈B / 4096⌉ |
//! | if a worker scans every 30 s, its reads of the rows `Leader` and `Migration3.0` of a KCL, in turn, one every 5 s | | 360 |
//! | if there are others, its reads of the row of one of them, every 3.3 s | | 540 |
//! | an announcement: a worker joins, leaves, requests a lease or hands one over | 1 to 4 each | 1 per worker and named lease |
//!
//! So 64 idle leases and one worker cost 18 write units per minute, or 1,170 where they are renewed, and
//! 8 workers cost 590 read units per minute, or 1,340 where leases are renewed. A start costs 3 write units and one consistent scan.
//!
//! # Together with Java workers
//!
//! At [`setup`](kcl_core::lease::LeaseTable::setup) and with every scan, the table is checked for
//! Java workers; [`DynamoLeaseTable::coexistence`] returns the result. If scans are rare, the rows
//! `Leader` and `Migration3.0` are also read between them, and the table is scanned as soon as one of
//! them appears or changes. Leases are then renewed, as they are in every coexistence but `Exclusive`: for a minute, if
//! nothing else shows that a KCL leads. The additional tables of a KCL from 3.0 to 3.4 are read every 30 s while such a KCL may
//! be running.
//!
//! | the table shows | [`Coexistence`] | what follows |
//! |---|---|---|
//! | no trace of a KCL, or only of one from 3.5 on in its default mode that has stopped | `Exclusive` | rows of workers and the change signal are written |
//! | a lease without `entityType`, `Migration3.0` at `CLIENT_VERSION_UPGRADE_FROM_2X` or `CLIENT_VERSION_2X`, or the tables `APPLICATION-CoordinatorState` of a KCL from 3.0 to 3.4 | `LeasesOnly` | only leases are written: a KCL before 3.5 fails on every other row, and one that is about to migrate to 3.x waits while an owner of a lease has no row of metrics. Changes are found by scans every 2 s |
//! | `Migration3.0` at `CLIENT_VERSION_3X` or `CLIENT_VERSION_3X_WITH_ROLLBACK` and metrics of another framework's worker that are younger than 60 s, or a row `Leader` that changes between two scans | `KclLeads` | at the start: nothing is written, and `setup` fails with [`KclIsLeading`] as its source, or waits ([`OpenOptions::wait_for_kcl`]). While running: a warning in the log and [`Event::LeasesLedByOthers`](kcl_core::worker::Event::LeasesLedByOthers); no lease is taken, claimed or requested any more (such a write fails with `Throttled`); held leases are kept, and handed over when the leader requests them; this crate's rows besides leases are removed with the next heartbeat |
//!
//! The age of metrics is judged by the clock of this machine. If they are older than 60 s but not
//! older than an hour, and there is a row `Leader`, that row is watched at the start for 36 s: a
//! live leader changes it every 30 s, whatever its clock says.
//!
//! The coexistence can become stricter while a worker runs, but less strict only after a restart.
//! When it becomes stricter, live workers remove their rows; the row of a worker that was already
//! dead is deleted by another worker, with a heartbeat, once it has stood still for its failover
//! time. (Scans find such rows but write nothing.) If the table was used by an old KCL and no Java
//! worker will come back, set [`JavaWorkers::Absent`]. Before you go back to a KCL before 3.5, stop
//! all workers of this framework and call [`DynamoLeaseTable::retire`].
//!
//! What is said here about Java workers is tested with rows that the KCL 1.14.10, 2.7.2 and 3.5.1
//! wrote, against a model of the KCL's renewals, lease taking and hand-overs, and end to end
//! together with live Java workers (`tests/e2e/run kcl-java`).
//!
//! ## How leases are shared
//!
//! Together with Java workers in 2.x mode, both sides take free and expired leases, and balance
//! what they hold:
//!
//! - Leases are counted as the KCL counts them: every renewed lease, even a finished one, counts
//!   for the owner that its row names.
//! - Leases cannot be requested from a KCL 1.x or 2.x. While a worker of it has at least two leases
//!   more than a worker of this framework, the latter takes one of them every 20 s (or twice the
//!   failover time, if that is above 10 s), as the KCL itself does. The records after the last
//!   checkpoint are then delivered twice. The KCL takes leases from this framework in the same way.
//! - From a KCL from 3.0 on in 2.x mode, leases are requested, one at a time, and it hands them
//!   over after its last checkpoint. It takes leases itself without a request. From 3.5 on, such a
//!   worker is recognised by its row of worker metrics with `sup`; before 3.5, by a changing
//!   `throughputKBps` of a lease that it holds. If all its shards are idle, it is treated like a
//!   KCL before 3.0.
//! - A lease that a KCL takes from this framework keeps its token. `rsHolder` shows that the token
//!   is not the owner's.
//!
//! Not supported: sharing a table with a KCL 3.x leader.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod announcer;
mod call;
mod expression;
mod inner;
mod item;
mod kcl_compat;
mod refusal;
mod runtime;
mod setup;
mod table;

/// The AWS SDK for DynamoDB, in the version that [`OpenOptions::open_with_client`] accepts.
pub use aws_sdk_dynamodb;
pub use kcl_compat::{Coexistence, KclIsLeading};
pub use setup::{JavaWorkers, NewTable, OpenError, OpenOptions};
pub use table::DynamoLeaseTable;
