//! Conversion between rows and DynamoDB items.
//!
//! A table has rows of several kinds under one key attribute; [`Row`] says of which kind an item
//! is. Attributes that are not named in [`attribute`] belong to other programs and are never read
//! or written.
//!
//! An item is read once, completely and strictly: a value of the wrong type or out of range makes
//! the row malformed, with the attribute and what is expected of it. A default in its place could
//! move a checkpoint. Only attributes that some version of the KCL leaves out may be missing.
//!
//! | file | rows |
//! |---|---|
//! | `lease`, `checkpoint` | leases of this crate and of the KCL 1.x, 2.x and 3.x |
//! | `worker` | workers of this framework, in the form of the KCL's metrics |
//! | `signal` | the change signal |
//! | `row` | of which kind an item is |
//! | `reader` | attributes by type |

pub(crate) mod attribute;
mod checkpoint;
mod lease;
mod reader;
mod row;
mod signal;
mod worker;

pub(crate) use attribute::{Item, SIGNAL_KEY};
pub(crate) use checkpoint::{checkpoint_values, number, text};
pub(crate) use lease::{key_value, lease_item, shard_set, throughput_values};
pub(crate) use reader::Reader;
pub(crate) use row::Row;
pub(crate) use signal::{read_signal, recent_value};
pub(crate) use worker::{worker_item, worker_key, worker_values};
