//! The tests with real processes, in one program: it is linked once.

mod emulators;
mod examples;
mod fleet;
