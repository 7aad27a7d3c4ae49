//! The tests with real processes, and those of the parts that these are made of, in one program: it
//! is linked once.

mod emulators;
mod examples;
mod fleet;
mod parts;
