use crate::BoxError;
use crate::model::Record;

/// Makes a value of a record. For [`decode`](super::decode) and
/// [`decode_buffer`](super::decode_buffer).
///
/// A closure from `&Record` to a `Result` is one. It is asked once for each attempt at a record, on
/// the task that handles it, so it should not block.
pub trait Decoder: Send + Sync + 'static {
    /// What it makes.
    type Value: Send + Sync + 'static;

    /// The value of this record.
    ///
    /// # Errors
    /// The record holds none. That is [`Permanent`](crate::handler::Permanent): the record is not
    /// tried again. A panic counts as an error.
    fn decode(&self, record: &Record) -> Result<Self::Value, BoxError>;
}

impl<F, T> Decoder for F
where
    F: Fn(&Record) -> Result<T, BoxError> + Send + Sync + 'static,
    T: Send + Sync + 'static,
{
    type Value = T;

    fn decode(&self, record: &Record) -> Result<T, BoxError> {
        self(record)
    }
}
