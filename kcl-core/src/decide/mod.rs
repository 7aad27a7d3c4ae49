//! What to do, decided: pure functions from what is known and `now` to a plan.
//!
//! **Invariant: nothing here reads a clock, draws a random number, awaits, or depends on the order
//! of a hash map.** Time, jitter and tie-breaks are arguments. So every decision can be replayed
//! from a text case (`testdata/*.txt`: given, `----`, expected).
//!
//! | of | decisions |
//! |---|---|
//! | the fleet | [`members`]: who lives; [`assignment`]: what to take, ask for, claim; [`hand_over`]: what to answer to who asks; [`audit`]: who audits |
//! | the shards of a stream | [`shards`]: which leases there are to be, and when a shard may be read |
//! | one shard | [`consumer`]: what comes next; [`checkpoint`]: what may be stored; [`pace`]: when to read; [`reading`]: whether it is read, and by whom it should be; [`subscription`]: when to subscribe; [`start`]: where its processor may begin; [`first_time`]: how long the time counts that its lease began at; [`gap`]: what retention took; [`lag`]: how far behind it is; [`lanes`]: which of its records may be at work at the same time, and up to where they are done; [`retries`]: what follows when one fails; [`drain`]: how long they may be at work in a stop |
//! | a reading that ends | [`bound`]: which records belong to it, when a shard and a worker are done |
//! | the consumer of an application | [`registration`]: how it comes by it; [`retirement`]: whether it may go |
//! | a service that refuses | [`refusal`]: whether that is believed |
//! | time and writes | [`expiry`]: the times of the protocol; [`settle`]: what an answer means; [`outage`]: whether the lease table is out of reach; [`backoff`]: when to try again; [`log`]: how often a failure is said that goes on |

#![expect(
    unreachable_pub,
    reason = "`pub` marks what the other modules of the crate may use of a decision"
)]

pub mod assignment;
pub mod audit;
pub mod backoff;
pub mod bound;
pub mod checkpoint;
pub mod consumer;
pub mod drain;
pub mod expiry;
pub mod first_time;
pub mod gap;
pub mod hand_over;
pub mod lag;
pub mod lanes;
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
pub mod start;
pub mod subscription;

#[cfg(test)]
pub(crate) mod cases;
