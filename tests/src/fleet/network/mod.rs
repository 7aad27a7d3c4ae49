//! What lies between a worker process and its services, and what can go wrong there.
//!
//! Each process reaches the embedded stream, and DynamoDB where its leases are there, through a
//! [`Link`] of its own: a small HTTP proxy in the program that started the process. Signatures stay
//! what they are, since neither server checks them.

mod answer;
mod harm;
mod link;

pub use harm::{Harm, HarmedService, Trouble};
pub use link::{Link, Upstream};
