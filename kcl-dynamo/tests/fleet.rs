//! Whole workers on the DynamoDB lease table, on simulated time: what they do when calls go wrong, and what they cost.

#[path = "fleet/beside_java.rs"]
mod beside_java;
#[path = "fleet/cost.rs"]
mod cost;
#[path = "fleet/quiet.rs"]
mod quiet;
mod support;
#[path = "fleet/trouble.rs"]
mod trouble;
