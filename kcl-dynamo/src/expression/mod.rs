//! Conditions and changes as expressions of DynamoDB.
//!
//! Every name of an attribute and every value goes through a placeholder: no name can be a reserved
//! word, and no value can be read as a part of an expression.

mod condition;
mod parts;
mod update;

pub(crate) use condition::{absent, exactly, expected, never};
pub(crate) use parts::Parts;
pub(crate) use update::{Update, edited};

#[cfg(test)]
mod expression_test;
