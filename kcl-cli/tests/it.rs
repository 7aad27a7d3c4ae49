//! The tests from outside, in one program: it is linked once.

mod cli;
