//! The fleet simulator in small: what has to hold of the simulator itself, and a few of its worlds.
//! `.ci/run simulate` runs many more, in release; `tests::sim` says what a world is.

mod bills;
mod model;
mod mutants;
mod schedules;
mod settles;
mod shrinking;
mod tables;
mod worlds;
