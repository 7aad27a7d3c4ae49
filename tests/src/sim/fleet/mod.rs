//! Who acts in a world: the processes with their supervisors, the producers, and what brings the
//! faults.

mod bill;
mod chaos;
mod director;
mod operator;
mod process;
mod producer;
mod reshards;
mod seeker;
mod settle;
mod streams;

pub use bill::{Bill, bill};
pub(crate) use director::direct;
pub(crate) use process::lone_table;
pub use settle::{Settled, Settling, settle};
