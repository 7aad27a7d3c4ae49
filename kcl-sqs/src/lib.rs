//! Dead letters of [`kcl_core`] in Amazon SQS.
//!
//! [`SqsLetters`] is a [`DeadLetter`](kcl_core::handler::DeadLetter): a record that is given up
//! becomes a message of a queue, with the record in it, before the checkpoint passes it. The crate
//! is one of its own, so that only who uses it compiles the SDK of SQS.
//!
//! ```no_run
//! use kcl_core::handler::Retries;
//! use kcl_sqs::SqsLetters;
//! use kcl_sqs::aws_sdk_sqs::Client;
//!
//! # fn with(client: &Client) {
//! let queue = "https://sqs.eu-west-1.amazonaws.com/123456789012/orders-dead";
//! let retries = Retries::attempts(5).dead_letter(SqsLetters::new(client, queue));
//! # drop(retries);
//! # }
//! ```

mod error;
mod large;
mod letters;
mod name;

/// The AWS SDK's SQS client, in the version that [`SqsLetters::new`] accepts.
pub use aws_sdk_sqs;
pub use error::LetterError;
pub use letters::SqsLetters;
