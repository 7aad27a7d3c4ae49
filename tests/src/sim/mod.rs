//! The fleet simulator: the real worker in a simulated world.
//!
//! ```text
//!   seed -> World -> Director: processes, producers, reshards, chaos
//!                        |
//!                   kcl_core::Worker        the product, unchanged, on tokio's paused clock
//!                        |
//!        SimClock, SimTable, SimStream, Processors      what it is given
//!                        |
//!                 gate and links             frozen, delayed, lost, late, twice, cut off
//!                        |
//!             TableTruth, StreamTruth        what is really so
//!                        |
//!                    History -> Judge        invariants: small folds, one file each
//! ```
//!
//! A world runs on one thread and draws everything from its seed: the same seed gives the same
//! history, byte by byte. What is promised and what was shown is in `docs/reliability.md`.

mod counts;
mod dice;
mod fakes;
mod finds;
mod fleet;
mod history;
mod judge;
mod link;
mod mutant;
mod regressions;
mod report;
mod run;
mod runtime;
mod shrink;
mod state;
mod truth;
mod units;
mod world;

pub use counts::{Counts, Fault};
pub use dice::Dice;
pub use fleet::{Bill, Settled, Settling, bill, settle};
pub use judge::{Schedule, States, Violation};
pub use mutant::Mutant;
pub use regressions::{Regression, regressions};
pub use report::Summary;
pub use run::{Outcome, Wish, quiet_panics, run_all, run_world, with_fake_table};
pub use runtime::{At, Stopwatch};
pub use shrink::shrink;
pub use world::{Chaos, FanOut, Handlers, LinkFaults, Overrides, SimFleet, SimLoad, Style, World};
