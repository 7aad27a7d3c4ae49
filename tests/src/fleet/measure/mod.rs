//! What is promised of a fleet, measured with real processes.
//!
//! Each part has a fleet of its own, and an instant is drawn at random against the renewals of the
//! leases. What a part had to put is judged like every run of the program: a figure counts for
//! nothing where records are lost or come twice.

mod bench;
mod cost;
mod figure;
mod join;
mod kill;
mod start;
mod stop;

pub use bench::measure;
pub use figure::Figure;
