//! Reading by enhanced fan-out: the service pushes a shard's records to a registered consumer, at up to 2 MB a second that the shard
//! shares with no other application.
//!
//! ```text
//!   Registration: one consumer a stream and application,    FanOut ---> Subscription ---> Subscribed ---> Pump ---> Batch
//!   found or made once, shared by the shards of a worker ----^  one a shard, at most five minutes   |
//!                                                                                                  +-- Intake, Resume: as in polling
//! ```
//!
//! **The end of a subscription is no event to speak of.** It ends every five minutes, it breaks, it is refused; `Subscribed` makes
//! another one, AT the last record that was handed on (or at the checkpoint, if none was), within the pace of
//! [`crate::decide::subscription`]. What comes again is left out, so nothing is lost and nothing comes twice, also when the stream opens and
//! fails before its first event. "Latest" is a time that was resolved when the lease was made.
//!
//! **Silence.** The service sends an empty event every few seconds. A subscription that gives none for [`SILENCE`] while it is waited
//! for is replaced. The time that a handler takes, or the wait for memory, does not count.
//!
//! **Memory.** How large an event is shows when it is there, so a permit cannot be asked for in its size. A subscription is asked for its
//! next event only when its shard has a permit: one that holds nothing has one at once, one that holds batches when there is room
//! for another event of the usual size. While it waits, it keeps no more of that than what is set aside for the shard anyway, so idle
//! subscriptions take nothing from the part that all share. An event that is larger is counted from the moment it is there. The count
//! may so exceed the budget, by one event a shard at the most: then whoever holds anything waits, and nobody asks for more. To hold such
//! an event back instead until there is room would save nothing (it has been received) and would let a stopped handler stop other
//! shards.
//!
//! A shard whose handler stands is not asked for any more, and the transport's window holds the service back. Its subscription may end
//! meanwhile: that is noticed when the next event is asked for, and costs nothing.

mod calls;
mod no_consumer;
mod registration;
mod subscribed;

pub use no_consumer::NoConsumer;
pub(crate) use registration::Registration;
pub use subscribed::SILENCE;
pub(crate) use subscribed::{Subscribed, SubscribedSettings};
