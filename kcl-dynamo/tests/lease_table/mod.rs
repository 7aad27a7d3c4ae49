//! The DynamoDB lease table on an emulator in this process, through the real SDK.

mod contract;
mod differential;
mod documents;
mod dynamodb_local;
mod faults;
mod golden;
mod java_rows;
mod kcl_compat;
mod kcl_leader;
mod rows_in_memory;
mod setup;
mod signal;
