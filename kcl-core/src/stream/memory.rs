//! The stream of one process.
