//! The calls to DynamoDB, and what their failures mean.
//!
//! The SDK does not retry: a retry after a first attempt that had been applied would fail its
//! condition, which looks as if another worker had been first. The caller decides whether to retry,
//! and a write that was not answered is reported as unknown.
//!
//! ```text
//! Limits: a permit --> Calls: one request, one time limit --> failure: what was said
//!                                                                |
//!                                        classify: Conflict, Unknown, Throttled, Denied, Fatal
//! ```

mod classify;
mod client;
mod failure;
mod limits;

pub(crate) use classify::{Action, Verdict};
pub(crate) use client::{Calls, Refused};
pub(crate) use failure::say;
pub(crate) use limits::Limits;
