//! Children of all habits, on a stream and a lease table in this process.

mod daemon;
