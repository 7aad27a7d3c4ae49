//! Reading by enhanced fan-out: the service pushes a shard's records to a registered consumer, at
//! up to 2 MB a second that the shard shares with no other application.
//!
//! ```text
//!   Registration: one consumer a stream and application,    FanOut ---> Subscription ---> Subscribed ---> Pump ---> Batch
//!   found or made once, shared by the shards of a worker ----^  one a shard, at most five minutes   |
//!                                                                                                  +-- Intake, Resume: as in polling
//! ```
//!
//! **The end of a subscription is no event to speak of.** It ends every five minutes, it breaks, it
//! is refused; `FanOutFetch` makes another one, AT the last record that was handed on (or at the
//! checkpoint, if none was), within the pace of `decide::subscription`. What comes again is left
//! out, so nothing is lost and nothing comes twice, also when the stream opens and fails before its
//! first event. "Latest" is a time that was resolved when the lease was made.
//!
//! **Silence.** The service sends an empty event every few seconds. A subscription that gives none
//! for [`SILENCE`] while it is waited for is replaced, and so is one that does not get to the end
//! of an event in that time. The time that a handler takes, or the wait for memory, also in the
//! midst of an event, does not count.
//!
//! **Memory.** An event comes whole, and how large it is shows when it begins. So memory is asked
//! for twice.
//!
//! ```text
//!   a permit of the shard ---> begins: so many bytes ---> room for them ---> next: the event ---> counted as what it is
//!   (usual size, at most         (by its first bytes)      (within what is set      (received)
//!    what is set aside)                                     aside at once, else
//!                                                           among what all share)
//! ```
//!
//! A subscription is asked for its next event only when its shard has a permit: one that holds
//! nothing has one at once, one that holds batches when there is room for another event of the
//! usual size. While it waits, it keeps no more of that than what is set aside for the shard
//! anyway, so idle subscriptions take nothing from the part that all share. When an event begins
//! that takes more, the rest of it stays with the service, behind the transport's window, until the
//! budget has room for all of it: for the message and what is decoded from it while it is received,
//! for the records afterwards. However many subscriptions are behind, what is received and handled
//! at once is within the budget, beside a window each.
//!
//! Stopped handlers stop no other shard. Each keeps one event, or its equal share of the budget,
//! and no more. When so many have stopped that they keep all that is shared, the events of others
//! are received beyond the budget, one more each second in which nothing is received. An event in
//! whose midst the service falls silent holds its room for [`SILENCE`], until the subscription is
//! replaced.
//!
//! What is not known before it is there is counted from then on: by how much aggregates grow when
//! they are taken apart, and the events of a stream that does not say how large they are.
//! `KinesisStream` says it when its subscriptions come by its own connections, not by an HTTP
//! client that it was given, and except for an event that is the first message of a response: the
//! service sends another one before.
//!
//! A shard whose handler stands is not asked for any more, and the transport's window holds the
//! service back. Its subscription may end meanwhile: that is noticed when the next event is asked
//! for, and costs nothing.

mod ask;
mod calls;
mod fan_out_fetch;
mod listed;
mod no_consumer;
mod registration;

pub(crate) use fan_out_fetch::{FanOutFetch, FanOutSettings, SILENCE};
pub(crate) use listed::ListedClosed;
pub use no_consumer::NoConsumer;
pub(crate) use registration::Registration;

/// The most records that one answer of `GetRecords` has: 10,000, the service's limit. Servers that
/// imitate the service put no more into an event either.
const MAX_RECORDS: u32 = 10_000;
