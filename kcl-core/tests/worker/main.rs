//! Whole workers on the stream and the lease table in memory.

mod aggregates;
mod audits;
mod begins;
mod budget;
mod builder;
mod calls;
mod checkpoints;
mod consumers;
mod ends;
mod failures;
mod fan_out;
mod fetch;
mod fleet;
mod gaps;
mod hand_over;
mod handlers;
mod malformed;
mod many_shards;
mod out_of_reach;
mod ownership;
mod reads;
mod refused;
mod renewals;
mod replaced;
mod schedules;
mod slow_look;
mod stop;
mod streams;
#[path = "../support/mod.rs"]
mod support;
mod told;
mod until;
