use std::future::Future;

use crate::BoxError;
use crate::handler::{FlushContext, RecordContext};
use crate::model::Record;
use crate::processor::Failure;

/// What an application does with the value of one record. [`decode`](super::decode) makes a
/// [`RecordHandler`](crate::RecordHandler) of it.
///
/// One value of it serves all the shards of a worker concurrently. A panic counts as an error.
pub trait DecodedHandler: Send + Sync + 'static {
    /// What a record holds.
    type Value: Send + Sync + 'static;

    /// Processes this value, of this record. As
    /// [`RecordHandler::handle`](crate::RecordHandler::handle) otherwise: when the future is dropped,
    /// and when a record comes again.
    ///
    /// # Errors
    /// Any error means that the record is not processed. [`Retries`](crate::handler::Retries) decide
    /// what happens; at the next attempt it is decoded anew.
    fn handle(
        &self,
        value: Self::Value,
        record: &Record,
        context: &RecordContext,
    ) -> impl Future<Output = Result<(), BoxError>> + Send;
}

/// What an application does with the values of records that were gathered for it.
/// [`decode_buffer`](super::decode_buffer) makes a [`BufferHandler`](crate::handler::BufferHandler)
/// of it.
///
/// One value of it serves all the shards of a worker concurrently. A panic counts as an error.
pub trait DecodedBufferHandler: Send + Sync + 'static {
    /// What a record holds.
    type Value: Send + Sync + 'static;

    /// Processes these values, in the order of the shard; never none. `records` are the records that
    /// they were made of: as many, in the same order. As
    /// [`BufferHandler::flush`](crate::handler::BufferHandler::flush) otherwise.
    ///
    /// # Errors
    /// [`Failure::at`] says that the records before that one are processed. After any other error
    /// none is, and the next call is given half of them.
    fn flush(
        &self,
        values: Vec<Self::Value>,
        records: &[Record],
        context: &FlushContext,
    ) -> impl Future<Output = Result<(), Failure>> + Send;
}
