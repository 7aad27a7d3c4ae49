//! Subscriptions on the wire: the real SDK and our connections against servers that do what they
//! are told.

mod client;
mod ends;
mod events;
mod flow;
mod http1;
mod limits;
mod log;
mod long;
mod protocols;
mod proxy;
mod raw;
mod resets;
mod served;
mod service;
mod silence;
pub(crate) mod tls;
mod troubles;
