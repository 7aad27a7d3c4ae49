//! The table of one process.
