//! Whole workers on the DynamoDB lease table, on simulated time: what they do when calls go wrong, and what they cost.

#[path = "fleet/cost.rs"]
mod cost;
#[path = "fleet/quiet.rs"]
mod quiet;
mod support;
#[path = "fleet/trouble.rs"]
mod trouble;
