//! The connections that subscriptions and pages come by.
//!
//! Pages come by [`Http1Client`]: one connection of HTTP/1.1 for each call that is under way, which
//! is kept for the next one. The rest of this page is about subscriptions.
//!
//! A subscription is a response that goes on for five minutes, so each takes up a stream of an
//! HTTP/2 connection for all that time. The SDK's own client keeps one connection a host and lets a
//! request beyond the server's limit of streams wait without a word: a worker with more shards than
//! that would hold leases that nobody reads. [`Http2Client`] is an HTTP client of the SDK that
//! counts:
//!
//! ```text
//!    Http2Client
//!      |  a Pool of Origins, by scheme, host and port
//!      +- Origin
//!           +- Connection --- StreamPermit, ...    one for each subscription, until its response is dropped
//!           |    |  owns:
//!           |    +- its driver: a task that reads and writes the socket, and pings
//!           +- Connection --- StreamPermit, ...    made when no connection has a free place, one at a time
//! ```
//!
//! - **No request waits for a stream.** A connection gives out at most [`Http2Settings::streams`]
//!   places, and not more than the server says it takes: its settings are there before the first
//!   place is given, because a connection begins with a ping, and the answer to it comes after
//!   them. A stream that a server refuses all the same lowers the limit of its connection.
//! - **A reader that stops stops nobody else.** The window of a connection is the sum of the
//!   windows of its streams.
//! - **A long event waits for room.** Whoever reads a subscription may close the response's gate:
//!   then no more of a message that is longer than a frame is taken from the connection than has
//!   come by its window, and the server is held back. `message_scanner` finds where messages begin.
//! - **A connection that is dead is noticed.** A ping is sent every [`Http2Settings::ping_every`];
//!   when nothing at all has come for [`Http2Settings::ping_limit`] after one, the connection is
//!   given up and all that came by it fails.
//! - **A connection whose streams are dead is left.** One of them that is given up after it was
//!   silent for [`Http2Settings::silent_limit`] is the last sign: the connection gets no more
//!   subscriptions, though pings are answered, and ends with those that it has.
//! - **What is not used is closed**, after two pings without a subscription.
//! - **HTTP/1.1 works too**, for endpoints that have nothing better: with TLS, the server chooses;
//!   without, HTTP/2 is tried first, and a server that cannot make anything of it, or is silent to
//!   it and answers HTTP/1.1, is given that, one connection for each subscription.
//! - An `https` endpoint is reached through the proxy that the environment names (`HTTPS_PROXY`,
//!   `NO_PROXY`), as the SDK does.

mod address;
mod body;
mod client;
mod connection;
mod connector;
mod counting_io;
mod dial;
mod driver;
mod failure;
mod gate;
mod http1;
mod http1_answer;
mod http1_client;
mod http1_connection;
mod message_scanner;
mod origin;
mod pool;
mod settings;
mod silence;
mod stream_count;

pub(in crate::stream::kinesis) use address::without_userinfo;
pub use client::{BadCertificate, Http2Client};
pub(in crate::stream::kinesis) use failure::ConnectionFailure;
pub(in crate::stream::kinesis) use gate::MessageGate;
pub(in crate::stream::kinesis) use http1_answer::{AnswerHead, Http1Answer};
pub use http1_client::Http1Client;
pub(in crate::stream::kinesis) use http1_client::NoAnswer;
pub use settings::Http2Settings;
