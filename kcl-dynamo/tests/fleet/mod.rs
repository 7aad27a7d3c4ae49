//! Whole workers on the DynamoDB lease table, on simulated time: what they do when calls go wrong,
//! and what they cost.

mod beside_java;
mod cost;
mod java_leader;
mod kcl_starts;
mod leases_only;
mod trouble;
