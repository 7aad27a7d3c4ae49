//! The embedded stream, as its clients see it.

mod cbor;
mod consumers;
mod fan_out;
mod folder;
mod http2;
mod letters;
mod limits;
mod operate;
mod reading;
mod server;
mod shards;
mod support;
