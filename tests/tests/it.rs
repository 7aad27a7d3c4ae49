//! The tests with real processes, those of the parts that these are made of, and the simulator in
//! small, in one program: it is linked once.

mod emulators;
mod examples;
mod fleet;
mod parts;
mod sim;
mod sqs;
