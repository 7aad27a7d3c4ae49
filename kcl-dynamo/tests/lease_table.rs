//! The DynamoDB lease table on an emulator in this process, through the real SDK.

#[path = "lease_table/contract.rs"]
mod contract;
#[path = "lease_table/differential.rs"]
mod differential;
#[path = "lease_table/documents.rs"]
mod documents;
#[path = "lease_table/faults.rs"]
mod faults;
#[path = "lease_table/golden.rs"]
mod golden;
#[path = "lease_table/java_rows.rs"]
mod java_rows;
#[path = "lease_table/neighbours.rs"]
mod neighbours;
#[path = "lease_table/setup.rs"]
mod setup;
#[path = "lease_table/signal.rs"]
mod signal;
mod support;
