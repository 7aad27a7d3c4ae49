//! `KinesisStream` on the wire: what it sends, and what it makes of what comes back.

mod calls;
mod consumers;
mod desk;
mod direct;
mod direct_connections;
mod ends;
mod failures;
mod log;
mod setup;
mod wire;
