//! A lease table for one host: an `SQLite` file, shared by all threads and processes that have it
//! open.
//!
//! ```text
//!   SqliteLeaseTable (any number of clones) -- channel --> one thread, one connection --> the file, its -wal and -shm
//! ```
//!
//! # How it keeps the contract
//!
//! - **A write is one conditional statement** (`UPDATE .. WHERE key AND condition RETURNING ..`).
//!   If it matches no row, the current row is read in the same transaction, so the row in a
//!   conflict is the one that did not meet the condition.
//! - **No transaction spans an await.** The connection belongs to its own thread, which takes a
//!   request, carries it out completely and answers. A request whose caller has gone before its
//!   turn is not started. The thread closes the file and ends when the last clone of the table is
//!   dropped.
//! - **Writes that wait together are committed together.** All writes that are queued when the
//!   thread becomes free share a transaction, each in its own savepoint; none is answered before
//!   the commit. So 256 simultaneous renewals cost one disk synchronisation, not 256.
//! - **If another process is writing, a call waits**, and after [`OpenOptions::busy_timeout`] it
//!   fails with [`Throttled`](kcl_core::lease::Error::Throttled): nothing was written then. An
//!   error of the commit itself is [`Unknown`](kcl_core::lease::Error::Unknown).
//! - **If the file is removed or replaced, the worker stops.** Before each read and each commit,
//!   the device and inode of the file at the path are compared with those of the open file (on
//!   Unix; elsewhere an open file cannot be removed). Otherwise this worker and one that opens the
//!   path later would each process every shard, and both would look healthy.
//! - **A process that is suspended during a write (SIGSTOP) holds the file's write lock**, and no
//!   other process can write until it continues or is killed; the other workers lose their leases
//!   when these expire. This is a limitation of `SQLite`. A process that is suspended at any other
//!   moment, or killed at any moment, does not block the others.
//! - **Acknowledged writes are durable**, even if the process is killed or the power fails
//!   (`journal_mode = WAL`, `synchronous = FULL`). `NORMAL` would be faster, but could lose the
//!   last commits in a power failure. For a checkpoint, that would only mean that records are read
//!   again; but if a lease counter went back, a new owner could begin with a fence that a sink has
//!   already seen from the old owner.
//!
//! The change signal is the number of the application's newest announcement, stored together with
//! the latest announcements in a table of its own.
//!
//! # The schema
//!
//! `application_id` is 0x4B434C54 (`KCLT`), and `user_version` is 100 x major + minor, currently
//! 1.05. `setup` upgrades a file of an older minor version. Any 1.x can be opened, and unknown
//! columns are kept; a file of another major version or of another program is rejected and left
//! untouched. The columns have the KCL's attribute names in snake case.
//!
//! `leases`, one row per lease; primary key (`application`, `stream`, `shard`):
//!
//! | column | type | holds |
//! |---|---|---|
//! | `application` | TEXT | the application: one file may serve several |
//! | `stream` | TEXT | the stream in the KCL's serialised form; empty if the application reads one stream |
//! | `shard` | TEXT | the shard |
//! | `lease_owner`, `checkpoint_owner` | TEXT or NULL | the worker that holds the lease or has requested it; the worker that still holds it while a hand-over is pending |
//! | `token` | TEXT or NULL | the token of the current tenancy |
//! | `lease_counter`, `owner_switches_since_checkpoint` | INTEGER | up to 2^63 - 1; a write of a larger value is rejected |
//! | `checkpoint` | TEXT | a sentinel (`TRIM_HORIZON`, `LATEST`, `AT_TIMESTAMP`, `SHARD_END`) or a decimal number |
//! | `checkpoint_sub_sequence_number` | TEXT | a decimal number of up to 64 bits; `0` with a sentinel |
//! | `pending_checkpoint`, `pending_checkpoint_sub_sequence_number` | TEXT or NULL | the same, for the prepared checkpoint |
//! | `pending_checkpoint_state` | BLOB or NULL | the application's state for it |
//! | `parent_shard_ids`, `child_shard_ids` | TEXT | shard ids, separated by spaces |
//! | `starting_hash_key`, `ending_hash_key` | TEXT or NULL | decimal numbers of up to 128 bits |
//! | `start_at` | INTEGER or NULL | milliseconds since 1970: the time that `LATEST` or `AT_TIMESTAMP` stands for in this row; NULL once there is a checkpoint |
//! | `began_at` | INTEGER or NULL | the same in a row that has had a checkpoint: the time at which the lease began (from 1.01 on) |
//! | `bytes_per_second`, `records_per_second` | INTEGER or NULL | what arrives in the shard, as its owner has measured it (from 1.03 on) |
//! | `paused_at` | INTEGER or NULL | milliseconds since 1970: when an operator paused the shard; NULL if it is not paused (from 1.02 on) |
//! | `assigned_to` | TEXT or NULL | the worker that an operator moves the lease to: the incarnation, a space and the worker's id (from 1.05 on) |
//! | `stream_created_at` | INTEGER or NULL | milliseconds since 1970: when the stream was created |
//! | `stream_arn` | TEXT or NULL | the stream's ARN |
//!
//! `workers`, one row per worker; primary key (`application`, `worker`):
//!
//! | column | type | holds |
//! |---|---|---|
//! | `application`, `worker` | TEXT | the application, and the worker's id |
//! | `incarnation` | TEXT | identifies the process behind the id |
//! | `counter` | INTEGER | grows with each heartbeat |
//! | `failover` | INTEGER | its failover time in nanoseconds |
//! | `leaving` | INTEGER | 1 if it is stopping and takes no more leases |
//! | `audits` | INTEGER | how many times it has compared the shards with the leases |
//! | `capacity` | INTEGER or NULL | how much it can carry, in thousandths; NULL if it balances by count (from 1.03 on) |
//! | `keep_alive` | TEXT or NULL | what shows that its leases are held: `renewals`, `heartbeats` or `killed`, a space and the last eight characters of the incarnation of which that is said; NULL in rows of a version that knows only renewals (from 1.04 on) |
//! | `drains` | TEXT or NULL | how often operators have begun or ended to drain it, odd while it is being drained, a space and the last eight characters of the incarnation of which that is said; NULL in rows of a version that knows no drains (from 1.05 on) |
//!
//! `changes`, one row for each announced change; primary key (`application`,
//! `announcement`, `kind`, `stream`, `name`); about the last 64 are kept:
//!
//! | column | type | holds |
//! |---|---|---|
//! | `application` | TEXT | the application |
//! | `announcement` | INTEGER | the number of the announcement; the newest is the value of the change signal |
//! | `kind` | TEXT | `lease` or `worker` |
//! | `stream`, `name` | TEXT | for a lease, its stream (if its key has one) and its shard; for a worker, its id as `name` |
//!
//! # Which errors a worker sees
//!
//! A busy file, a full disk and a disk that cannot be reached are
//! [`Throttled`](kcl_core::lease::Error::Throttled): the worker tries again, and loses its leases
//! if that takes longer than the failover time. A file that was removed, replaced or damaged is
//! [`Fatal`](kcl_core::lease::Error::Fatal), and the worker stops.
//!
//! # Where the file may be
//!
//! On a local disk. On a network disk the locks of most file systems are not reliable, and SQLite's
//! log needs memory that all processes share, which only processes on one host have.
//!
//! # What is measured here and not by the service
//!
//! There is no bill, but there is a disk: a renewal is a commit, and a commit is one
//! synchronisation of the disk for all writes that wait at that moment. A worker with 256 leases
//! and a failover time of 10 s makes 77 writes per second, in at most as many synchronisations.

mod changes;
mod error;
mod file;
mod lease_row;
mod open;
mod open_files;
mod schema;
mod statement;
mod table;
mod thread;
mod worker_row;

pub use error::OpenError;
pub use open::OpenOptions;
pub use table::SqliteLeaseTable;
