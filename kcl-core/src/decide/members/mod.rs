//! Who is alive, as one observer sees it: by counters that move and a clock of one's own, never by
//! a wall clock.
//!
//! ```text
//!   a scan: all lease rows, all worker rows ---+
//!   a row read by itself (a hint) -------------+--> Members --+--> how long a lease's counter has stood still, when it expires
//!   a scan that failed ------------------------+              +--> which workers live, when each last showed life
//!                                                             +--> whether somebody else works under a name
//! ```
//!
//! **Evidence of life** is what a worker wrote itself: its worker row with another counter, or a
//! lease that bears a token, whose counter grew, and that the worker holds. Being named in a
//! request, hand-over or release is no evidence of life: a dead worker can be named. What is seen
//! for the first time counts as life then; if nobody moves it, that ends like every other.
//!
//! **Ages count only over looks less than half a failover time apart.** After a longer gap (a pause
//! of the observer, a table out of reach) all start anew, or one who wakes up would find the whole
//! fleet expired.

mod lease_observation;
#[expect(
    clippy::module_inception,
    reason = "a file holds one type, and this one's name is the folder's"
)]
mod members;
#[cfg(test)]
pub(crate) mod notation;
mod worker_observation;

pub use members::Members;
