//! The parts of the fleet: what is done to it, what is seen of it, and how it is judged.

mod figure;
mod link;
mod options;
mod plan;
mod script;
mod show;
mod table_log;
mod table_watch;
mod tail;
mod verdict;
mod write_lock;
