//! The parts of `quickstart`, from its files to its ledger.

mod corpus;
mod counted;
mod counts;
mod ledger;
mod line;
mod options;
mod plain;
mod producer;
