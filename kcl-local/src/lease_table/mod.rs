//! The lease table of one host: one `SQLite` file, shared by the threads and processes that have it
//! open.
//!
//! ```text
//!   SqliteLeaseTable (any number of clones) -- channel --> one thread, one connection --> the file, its -wal and -shm
//! ```
//!
//! # How it keeps the contract
//!
//! - **A write is one conditional statement** (`UPDATE .. WHERE key AND condition RETURNING ..`).
//!   If it fits no row, the row that stands is read in the same transaction, so the row in a
//!   conflict is the one that refused the write.
//! - **No transaction spans an await.** The connection belongs to a thread of its own, which takes
//!   a request, does all of it and answers. A request whose caller is gone before its turn is not
//!   begun. The thread ends, and closes the file, when the last clone of the table is dropped.
//! - **What waits together is committed together.** All writes that are queued when the thread
//!   becomes free share a transaction, each in a savepoint of its own; none is answered before the
//!   commit. So 256 renewals at once cost one synchronisation of the disk, not 256.
//! - **A busy file waits, then is [`Throttled`](kcl_core::lease::Error::Throttled)**, after
//!   [`OpenOptions::busy_timeout`]. Nothing was written then. An error of the commit itself is
//!   [`Unknown`](kcl_core::lease::Error::Unknown).
//! - **A file that is removed or replaced under a worker ends it.** Before each read and each
//!   commit the device and the number of the file at the path are compared with those of the file
//!   that is open (on Unix; elsewhere an open file cannot be removed). Otherwise this worker and
//!   one that opens the path later would each read everything, and both look well.
//! - **A process that the system stops inside a write (SIGSTOP) holds the file's write lock**, and
//!   nobody can write until it goes on or is killed: the workers let their leases go when these are
//!   due. This is a limit of `SQLite`; a process that is stopped at any other instant, or killed at
//!   any instant, is in nobody's way.
//! - **What was acknowledged stays**, through the end of the process at any instant and through a
//!   loss of power (`journal_mode = WAL`, `synchronous = FULL`). `NORMAL` would be faster and could
//!   lose the last commits with the power. For a checkpoint that were only a replay; but a lease
//!   counter that goes back would let a new owner begin with a fence that a sink has already seen
//!   from the old one.
//!
//! The change signal is the number of the newest announcement of the application, kept with the
//! last ones in a table of its own.
//!
//! # The schema
//!
//! `application_id` is 0x4B434C54 (`KCLT`) and `user_version` is 100 x major + minor, now 1.01:
//! `setup` adds what a file of an older minor version lacks. A table opens any 1.x and keeps
//! columns that it does not know; another major version is refused, as is a file of another
//! program, and neither is touched. The columns have the KCL's attribute names in snake case.
//!
//! `leases`, one row a lease; primary key (`application`, `stream`, `shard`):
//!
//! | column | type | holds |
//! |---|---|---|
//! | `application` | TEXT | whose lease: one file may serve several applications |
//! | `stream` | TEXT | the stream in the KCL's serialised form; empty where an application reads one stream |
//! | `shard` | TEXT | the shard |
//! | `lease_owner`, `checkpoint_owner` | TEXT or NULL | who holds it, or is to have it; who holds it while a hand-over is pending |
//! | `token` | TEXT or NULL | the present tenancy |
//! | `lease_counter`, `owner_switches_since_checkpoint` | INTEGER | up to 2^63 - 1; a write beyond is refused |
//! | `checkpoint` | TEXT | a sentinel (`TRIM_HORIZON`, `LATEST`, `AT_TIMESTAMP`, `SHARD_END`) or a decimal number |
//! | `checkpoint_sub_sequence_number` | TEXT | a decimal number of up to 64 bits; `0` with a sentinel |
//! | `pending_checkpoint`, `pending_checkpoint_sub_sequence_number` | TEXT or NULL | the same, of what is prepared |
//! | `pending_checkpoint_state` | BLOB or NULL | the application's bytes for it |
//! | `parent_shard_ids`, `child_shard_ids` | TEXT | shards, with a space between |
//! | `starting_hash_key`, `ending_hash_key` | TEXT or NULL | decimal numbers of up to 128 bits |
//! | `start_at` | INTEGER or NULL | milliseconds since 1970: what `LATEST` or `AT_TIMESTAMP` means in this row; NULL once there is a checkpoint |
//! | `began_at` | INTEGER or NULL | the same in a row that has had a checkpoint: the time that the lease began at (from 1.01 on) |
//! | `stream_created_at` | INTEGER or NULL | milliseconds since 1970 |
//! | `stream_arn` | TEXT or NULL | the ARN |
//!
//! `workers`, one row a worker; primary key (`application`, `worker`):
//!
//! | column | type | holds |
//! |---|---|---|
//! | `application`, `worker` | TEXT | whose, and who |
//! | `incarnation` | TEXT | the process behind the name |
//! | `counter` | INTEGER | its heartbeats |
//! | `failover` | INTEGER | nanoseconds |
//! | `leaving` | INTEGER | 1 when it takes nothing more |
//! | `audits` | INTEGER | how often it has compared the shards with the leases |
//!
//! `changes`, one row for each thing that was announced; primary key (`application`,
//! `announcement`, `kind`, `stream`, `name`); the last 64 or so are kept:
//!
//! | column | type | holds |
//! |---|---|---|
//! | `application` | TEXT | whose |
//! | `announcement` | INTEGER | its number: the newest is the value of the change signal |
//! | `kind` | TEXT | `lease` or `worker` |
//! | `stream`, `name` | TEXT | the stream of the lease, if its key has one, and the shard; or the worker |

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
