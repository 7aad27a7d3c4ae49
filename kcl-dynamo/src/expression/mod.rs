//! Conditions and changes as DynamoDB expressions.
//!
//! Every attribute name and every value is passed as a placeholder, so no name can clash with a
//! reserved word, and no value can be read as part of an expression.

mod condition;
mod parts;
mod update;

pub(crate) use condition::{absent, exactly, expected, never};
pub(crate) use parts::Parts;
pub(crate) use update::{Update, edited};

#[cfg(test)]
mod expression_test;
