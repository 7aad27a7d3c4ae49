//! Calls and what their failures mean.
//!
//! The SDK makes each call once: a second try of its own, after a first one that had landed, would
//! be refused, and the refusal looks as if somebody else had been first. Who called decides about
//! another try, and a write that was not answered is said to be unknown.

mod classify;
mod client;
mod failure;
mod limits;

pub(crate) use classify::{Action, Verdict};
pub(crate) use client::{Calls, Refused};
pub(crate) use failure::say;
pub(crate) use limits::Limits;
