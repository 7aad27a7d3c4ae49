//! The lease table of the `kcl-core` consumer framework in DynamoDB, row for row that of the Java
//! Kinesis Client Library (KCL): an application can move from the KCL 1.x, 2.x or 3.x to this and
//! back with its table as it is.
//!
//! ```text
//!   LeaseTable (kcl-core)
//!       | Expect, Edits                      rows of several kinds
//!   expression -> call -> DynamoDB -> item -> Lease, WorkerRow, ChangeSignal
//!                                      |
//!                                  kcl_compat: what Java workers forbid
//! ```
//!
//! ```no_run
//! # async fn open() -> Result<(), Box<dyn std::error::Error>> {
//! use kcl_core::lease::LeaseTable;
//! use kcl_dynamo::DynamoLeaseTable;
//!
//! // Region and credentials are those of the environment; the table is named after the application, as the KCL's.
//! let table = DynamoLeaseTable::open("billing").await?;
//! table.setup().await?;
//! # Ok(())
//! # }
//! ```
//!
//! # How it keeps the contract
//!
//! - **A write is one conditional call**, `PutItem`, `UpdateItem` or `DeleteItem`, which returns
//!   the row as it is afterwards, or the row that refused it. No update creates a row: each expects
//!   an attribute that only a lease has. The change signal's row alone is written without there
//!   being one.
//! - **The SDK makes each call once.** A second try of its own after a first one that had landed
//!   would be refused, as if somebody else had been first. A write without an answer is
//!   [`Unknown`](kcl_core::lease::Error::Unknown); what refuses a call before anything was done is
//!   [`Throttled`](kcl_core::lease::Error::Throttled). Who called decides about another try.
//! - **A call has a limit**, 2 s unless [told](OpenOptions::call_limit), against a failover time of
//!   10 s.
//! - **At most 64 writes of owners and 16 of others are on the way at once.** A worker of thousands
//!   of leases whose renewals come due together sends them as they are answered, not all into a
//!   table that then answers none in time. What has waited for a quarter of the limit of a call is
//!   answered with `Throttled`, and has not been sent.
//! - **Reads of one row are consistent**, except of the change signal, which is read anew in half a
//!   second anyway. A scan is as it is asked for.
//! - **What is not known is left alone**: attributes and rows of others survive every write. A
//!   lease that cannot be read hides no other: its shard is not read, and the worker says so, until
//!   the row is repaired.
//!
//! # The table
//!
//! One key, `leaseKey` (HASH, S). No index is needed; the KCL's `LeaseOwnerToLeaseKeyIndex` does no
//! harm, and costs the writes of `leaseOwner`. [`setup`](kcl_core::lease::LeaseTable::setup) makes
//! a table that is missing ([`OpenOptions::create`]) with on-demand capacity, or checks the one
//! that is there. For a table that is made elsewhere, CloudFormation:
#![doc = concat!("```json\n", include_str!("../docs/cloudformation.json"), "```")]
//!
//! Terraform:
#![doc = concat!("```hcl\n", include_str!("../docs/table.tf"), "```")]
//!
//! A lease has the KCL's attributes: `leaseKey` (the shard, or `account:stream:creation:shard` in
//! an application that reads several streams), `entityType` = `LEASE` in rows that this or a KCL
//! from 3.5 made, `leaseOwner`, `checkpointOwner`, `leaseCounter`, `ownerSwitchesSinceCheckpoint`,
//! `checkpoint`, `checkpointSubSequenceNumber`, `pendingCheckpoint`,
//! `pendingCheckpointSubSequenceNumber`, `pendingCheckpointState`, `parentShardId` (a set),
//! `childShardIds`, `startingHashKey`, `endingHashKey`, `streamName`, `shardId`. And these of ours,
//! which the KCL leaves alone:
//!
//! | attribute | type | holds |
//! |---|---|---|
//! | `rsToken` | S | the present tenancy; absent in a lease that nobody of us holds |
//! | `rsHolder` | S | whose tenancy that is: where the row names another owner, a KCL has taken the lease and left both there |
//! | `rsStartAt` | N | milliseconds since 1970: the time that `LATEST` or `AT_TIMESTAMP` means in this row; absent once there is a checkpoint |
//! | `rsBeganAt` | N | the same in a row that has had a checkpoint: the time that the lease began at |
//! | `rsStreamArn` | S | the stream |
//! | `rsStreamCreatedAt` | N | milliseconds since 1970: when it was created |
//!
//! Beside leases, where no Java worker forbids it (below):
//!
//! | row | holds |
//! |---|---|
//! | the worker's id (`~worker-` and the id, where that could be the key of another row) | a worker as the KCL 3.5's row of worker metrics (`entityType` = `WORKER_METRIC_STATS`, `lut`, `slu`, `sup`, empty `sts` and `opr`) with our mark: `rsWorker`, `rsIncarnation`, `rsCounter`, `rsFailoverNanos`, `rsLeaving`, `rsAudits`. Of one that leaves `lut` and `slu` are 0: for the KCL it is gone before its leases are free |
//! | `~fleet-0` | the change signal: `entityType` = `RS_FLEET`, `rsValue`, and in `rsRecent` the last announcements, at most 64 of them and 3.6 KB |
//!
//! # Rights
//!
//! `MakeTheTable` is needed where a missing table is to be made (`TagResource` for tags,
//! `UpdateContinuousBackups` for recovery). The two whose names begin with `BesideJava` are needed
//! where a KCL has ever used the table. That a right is missing is found at the start: setting up
//! reads, and makes each kind of write once with a condition that never holds.
#![doc = concat!("```json\n", include_str!("../docs/policy.json"), "```")]
//!
//! # What it costs
//!
//! In units an hour with the default failover time of 10 s. A row is below 1 KB, so a write is one
//! unit; B is the size of the table in bytes, some 410 a lease and 350 a worker.
//!
//! | what | write units | read units |
//! |---|---|---|
//! | a lease that is renewed, each 3.3 s | 1,080 | |
//! | a lease with progress: its renewals take the checkpoint along | 1,080; more if [`checkpoint_every`](kcl_core::worker::Settings::checkpoint_every) is below 3.3 s | |
//! | a worker's heartbeat, each 3.3 s | 1,080 | |
//! | a worker's reading of the change signal, each 0.5 s | | 3,600 |
//! | a worker's scans, each 2 s (each 30 s where it holds everything and nobody else is there) | | 1,800 x ⌈B / 4096⌉ / 2 |
//! | the comparison of the rows with the shards, each 60 s, by one worker of the application: a consistent scan | | 60 x ⌈B / 4096⌉ |
//! | where it scans each 30 s, its reading of the row of the KCL's leader, each 5 s | | 360 |
//! | an announcement: somebody came, goes, asks, hands over | 1 to 4 each | 1 a worker and lease that is named |
//!
//! So 64 idle leases cost one worker 1,170 write units a minute and 8 workers 1,440 read units a
//! minute. A start costs 3 write units and one consistent scan.
//!
//! # Beside Java workers
//!
//! What a table shows of Java workers is read at [`setup`](kcl_core::lease::LeaseTable::setup) and
//! with every scan; [`DynamoLeaseTable::coexistence`] tells what came of it. Where scans are
//! seldom, the row `Leader` is read between them, and the table is scanned once it comes or
//! changes. The tables of a KCL from 3.0 to 3.4 are read each 30 s while one may live.
//!
//! | the table shows | [`Coexistence`] | what follows |
//! |---|---|---|
//! | no trace of a KCL, or of one from 3.5 in its default mode that has stopped | `Exclusive` | rows of workers and the change signal are written |
//! | a lease without `entityType`, `Migration3.0` at `CLIENT_VERSION_UPGRADE_FROM_2X` or `CLIENT_VERSION_2X`, or the tables `APPLICATION-CoordinatorState` of a KCL from 3.0 to 3.4 | `LeasesOnly` | leases alone are written: a KCL before 3.5 fails on every other row, and one that waits to change to 3.x waits as long as an owner of a lease has no row of metrics. Changes are found by scans, each 2 s |
//! | `Migration3.0` at `CLIENT_VERSION_3X` or `CLIENT_VERSION_3X_WITH_ROLLBACK` and metrics of somebody else that are younger than 60 s, or a row `Leader` that changes between two scans | `KclLeads` | at the start an error with [`KclIsLeading`] as its source and nothing written, or a wait ([`OpenOptions::wait_for_kcl`]). While running: a warning in the log and [`Event::LeasesLedByOthers`](kcl_core::worker::Event::LeasesLedByOthers), no lease is taken, claimed or asked for any more (such a write is answered with `Throttled`), what is held is kept and handed over when the leader asks, our rows beside leases are removed with the next heartbeat |
//!
//! Metrics are judged by the clock of this machine. Where they are older than 60 s, but not than an
//! hour, and there is a row `Leader`, that row is watched at the start for 36 s: one that lives
//! changes it each 30 s, whatever its clock says.
//!
//! It becomes stricter by itself and milder only by a new start. The row of a worker that was dead
//! by then is deleted by the others, with a heartbeat, when it has stood still for its failover
//! time. A scan finds such rows and writes nothing. Where the table was an old KCL's and no Java
//! worker will come back, [`Neighbours::Nobody`] says so. Before going back to a KCL before 3.5,
//! stop all workers of ours and call [`DynamoLeaseTable::retire`].
//!
//! What is said here of Java workers is held by tests on rows that a KCL 1.14.10, 2.7.2 and 3.5.1
//! wrote, beside a model of the KCL's renewals, its taker and its hand-overs, and end to end beside
//! live Java workers (`tests/e2e/run kcl-java`).
//!
//! ## How leases are shared
//!
//! Beside Java workers in 2.x mode both sides take what is free or has expired, and balance what
//! they hold:
//!
//! - Counted is as the KCL counts: every lease that is renewed, finished ones too, for the owner
//!   that its row names.
//! - A KCL 1.x or 2.x cannot be asked for a lease. While it has at least two more than a worker of
//!   ours, that one takes one of its leases each 20 s (twice the failover time, where that is above
//!   10 s), as the KCL itself does: the records since its last checkpoint are delivered twice. The
//!   other way round it is the same.
//! - A KCL from 3.0 in 2.x mode is asked, for one lease at a time, and hands it over after its last
//!   checkpoint. It takes without asking. From 3.5 on it is known by its row of worker metrics with
//!   `sup`, before by `throughputKBps` of a lease that changes while it holds it. One whose shards
//!   are all idle is taken from like those before 3.0.
//! - What a KCL takes from us keeps our token. `rsHolder` tells that it is not the owner's.
//!
//! Not done: living with a leader of the KCL 3.x.

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

/// The AWS SDK that this crate was built with, for a client of one's own
/// ([`OpenOptions::open_with_client`]).
pub use aws_sdk_dynamodb;
pub use kcl_compat::{Coexistence, KclIsLeading};
pub use setup::{Neighbours, NewTable, OpenError, OpenOptions};
pub use table::DynamoLeaseTable;
