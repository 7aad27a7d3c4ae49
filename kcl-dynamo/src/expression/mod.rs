//! Conditions and changes as DynamoDB expressions.
//!
//! Every attribute name and every value is passed as a placeholder, so no name can clash with a
//! reserved word, and no value can be read as part of an expression.
//!
//! | here | from kcl-core | becomes |
//! |---|---|---|
//! | `condition` | [`Expect`](kcl_core::lease::Expect) | a `ConditionExpression` |
//! | `update` | [`Edits`](kcl_core::lease::Edits) | an `UpdateExpression` |
//! | `parts` | | the names and values that both refer to |
//!
//! There is no rule of the lease protocol here: which condition belongs to which change is decided
//! in kcl-core, and this module only says it in DynamoDB's words. The exceptions are `rsToken` and
//! `rsHolder`, because a KCL that takes a lease leaves both in the row.

mod condition;
mod parts;
mod update;

pub(crate) use condition::{absent, exactly, expected, never};
pub(crate) use parts::Parts;
pub(crate) use update::{Update, edited};

#[cfg(test)]
mod expression_test;
