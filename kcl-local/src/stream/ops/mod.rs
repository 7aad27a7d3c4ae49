//! The operations that are answered here. All others are passed on to the emulator.
//!
//! An operation parses its request, checks what the service checks, and refuses with the service's
//! error types: a client that handles an error here handles the same one in production. Messages
//! are the service's where they are known.
//!
//! | file | operations |
//! |---|---|
//! | `get_records`, `get_shard_iterator`, `start` | reading by polling |
//! | `subscribe` | reading by fan-out |
//! | `consumers` | the consumers that fan-out needs |
//! | `put`, `put_request` | writing |
//! | `list_shards`, `list_streams`, `update_shard_count` | streams and shards |
//! | `arn`, `request` | members that many requests have |

mod arn;
mod consumers;
mod get_records;
mod get_shard_iterator;
mod list_shards;
mod list_streams;
mod put;
mod put_request;
mod request;
mod start;
mod subscribe;
mod update_shard_count;

pub(super) use arn::name_stream;
pub(super) use consumers::{
    check_deletable, deregister_stream_consumer, describe_stream_consumer, forget_consumers,
    list_stream_consumers, register_stream_consumer,
};
pub(super) use get_records::get_records;
pub(super) use get_shard_iterator::get_shard_iterator;
pub(super) use list_shards::list_shards;
pub(super) use list_streams::list_streams;
pub(super) use put::{put_record, put_records};
pub(super) use subscribe::subscribe_to_shard;
pub(super) use update_shard_count::update_shard_count;
