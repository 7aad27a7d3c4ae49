//! The decisions: pure functions from the known state and `now` to a plan.
//!
//! **Invariant: nothing here reads a clock, draws a random number, awaits, or depends on the order
//! of a hash map.** Time, jitter and tie-breaks are arguments, so every decision can be replayed
//! from a text case (`testdata/*.txt`: given, `----`, expected).
//!
//! | about | decisions |
//! |---|---|
//! | the fleet | [`fleet`]: what this worker knows of each lease, and which of them it leaves alone; [`members`]: which workers are alive; [`assignment`]: which leases to take, request or claim; [`hand_over`]: how to answer a request; [`audit`]: which worker audits, and when |
//! | the shards of a stream | [`shards`]: which leases to create, and when a shard may be read |
//! | one lease that is held | [`liveness`]: whether heartbeats hold it, or renewals; [`keeping`]: when it is renewed, when what is done is stored, when it is given up; [`load_meter`]: what its shard carries |
//! | one shard | [`consumer`]: what to do next; [`checkpoint`]: which checkpoints are accepted; [`pace`]: when to read; [`reading`]: whether reading succeeds, and when to leave the shard to another worker; [`subscription`]: when to subscribe; [`start`]: where its processor may begin; [`first_time`]: how long the time at which its lease began is used; [`gap`]: which records retention has deleted unread; [`lag`]: how far behind it is; [`held_lag`]: what of that stands in the row of its worker; [`lanes`]: which of its records are processed at the same time, and up to where they are done; [`buffers`]: which records are gathered, and when they are flushed; [`shared_buffer`]: the same of several shards together; [`retries`]: what happens when a record fails; [`bisect`]: how records that failed together are told apart; [`drain`]: how long records in progress may continue during a stop |
//! | a run with an end | [`bound`]: which records belong to it, and when a shard and a worker are done |
//! | an application's fan-out consumer | [`registration`]: how it is registered; [`retirement`]: whether it may be removed |
//! | a service that denies a call | [`refusal`]: whether that is final |
//! | time and writes | [`expiry`]: the times of the protocol; [`settle`]: what an answer means; [`outage`]: whether the lease table is unreachable; [`backoff`]: when to try again; [`log`]: how often a lasting failure is logged |

#![expect(
    unreachable_pub,
    reason = "`pub` marks what other modules of the crate may use"
)]

pub mod assignment;
pub mod audit;
pub mod backoff;
pub mod bisect;
pub mod bound;
pub mod buffers;
pub mod checkpoint;
pub mod consumer;
pub mod drain;
pub mod expiry;
pub mod first_time;
pub mod fleet;
pub mod gap;
pub mod hand_over;
pub mod held_lag;
pub mod keeping;
pub mod lag;
pub mod lanes;
pub mod liveness;
pub mod load_meter;
pub mod log;
pub mod members;
pub mod outage;
pub mod pace;
pub mod reading;
pub mod refusal;
pub mod registration;
mod rendezvous;
pub mod retirement;
pub mod retries;
pub mod settle;
pub mod shards;
pub mod shared_buffer;
pub mod start;
pub mod subscription;
mod window;

#[cfg(test)]
pub(crate) mod cases;
