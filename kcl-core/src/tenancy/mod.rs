//! What this process does with the leases that it holds.
//!
//! ```text
//!   coordination  -- takes a lease -->  Writer (the only one to write to it)  -->  TableClient (what an answer means)  -->  LeaseTable
//!                                          ^ orders
//!   shard consumer, Checkpointer  -->  Held (whether it is held, what is stored)
//! ```
//!
//! A tenancy is the time in which one worker holds one lease under one token. [`issued_tokens`] knows
//! the tokens of this process.
//!
//! | file | what |
//! |---|---|
//! | `writer` | the loop that keeps a lease; `orders` carries out what a consumer asks for, `settling` takes in what became of a write |
//! | `held` | the consumer's side; `orders` are what it may ask of the writer, `hand_over` what both agree on |
//! | `pulse` | the heartbeats of this worker's row, on which its leases lean |
//! | `progress`, `progress_reporter` | the proof that a consumer is at work, and who gives it |
//! | `table_client`, `table_health` | the calls of the table, and how they go |

pub(crate) mod gathered_records;
mod hand_over;
pub(crate) mod held;
pub(crate) mod issued_tokens;
mod orders;
mod progress;
mod progress_reporter;
pub(crate) mod pulse;
pub(crate) mod table_client;
pub(crate) mod table_health;
pub(crate) mod writer;
