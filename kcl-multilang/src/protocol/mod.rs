//! The `MultiLang` protocol: what is written to a child, and what its lines mean. Pure: no process
//! and no clock.
//!
//! Each message is one JSON object on one line. The daemon asks; the child answers with a status,
//! and may ask for checkpoints in between:
//!
//! ```text
//!   daemon   {"action":"processRecords","records":[...],"millisBehindLatest":0}
//!   child    {"action":"checkpoint","sequenceNumber":"42"}
//!   daemon   {"action":"checkpoint","sequenceNumber":"42","subSequenceNumber":null,"error":null}
//!   child    {"action":"status","responseFor":"processRecords"}
//! ```
//!
//! All other lines of the child are output of the user's code.

mod action;
mod batch;
mod exchange;
mod json;
mod lines;
mod message;
mod said;

pub use action::Action;
pub use batch::BatchMessage;
pub use exchange::{Exchange, Then};
pub use lines::{LONGEST_LINE, Line, Lines};
pub use message::Message;
pub use said::{CheckpointWish, Said};
