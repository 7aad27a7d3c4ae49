use std::fmt;

use crate::BoxError;
use crate::handler::{BufferHandler, FlushContext, Permanent, RecordContext, RecordHandler};
use crate::model::Record;
use crate::processor::Failure;
use crate::runtime::contained;

use super::{DecodedBufferHandler, DecodedHandler, Decoder};

/// Gives the handler what the decoder makes of each record.
///
/// A record of which it makes nothing does not reach the handler. It fails as
/// [`Permanent`]: what `retries` say comes last follows at once, the dead letter
/// holding the record and the error of the decoder.
///
/// ```
/// use kcl_core::handler::{DecodedHandler, RecordContext, by_key, decode};
/// use kcl_core::model::Record;
/// use kcl_core::{BoxError, Worker};
///
/// struct Amounts;
///
/// impl DecodedHandler for Amounts {
///     type Value = u64;
///
///     async fn handle(&self, amount: u64, record: &Record, _: &RecordContext) -> Result<(), BoxError> {
///         println!("{} pays {amount}", record.partition_key);
///         Ok(())
///     }
/// }
///
/// let number = |record: &Record| -> Result<u64, BoxError> {
///     Ok(std::str::from_utf8(&record.data)?.parse()?)
/// };
/// let builder = Worker::builder().stream("amounts").processor(by_key(64, decode(number, Amounts)));
/// # drop(builder);
/// ```
pub fn decode<D, H>(decoder: D, handler: H) -> Decoded<D, H>
where
    D: Decoder<Value = H::Value>,
    H: DecodedHandler,
{
    Decoded { decoder, handler }
}

/// The same for a handler of [buffers](crate::handler::buffer()). Those before a record that cannot
/// be decoded are flushed without it, then those behind it.
pub fn decode_buffer<D, H>(decoder: D, handler: H) -> Decoded<D, H>
where
    D: Decoder<Value = H::Value>,
    H: DecodedBufferHandler,
{
    Decoded { decoder, handler }
}

/// A handler behind a decoder. Made by [`decode`] and [`decode_buffer`].
pub struct Decoded<D, H> {
    decoder: D,
    handler: H,
}

impl<D: Decoder, H> Decoded<D, H> {
    fn value_of(&self, record: &Record) -> Result<D::Value, Permanent> {
        let decoded = contained(|| self.decoder.decode(record));
        // What it panics at once it panics at always: it is given nothing but the record.
        let decoded = decoded.unwrap_or_else(|panic| Err(format!("it panicked: {panic}").into()));
        decoded.map_err(|error| Permanent::new(CannotDecode(error)))
    }
}

impl<D, H> RecordHandler for Decoded<D, H>
where
    D: Decoder<Value = H::Value>,
    H: DecodedHandler,
{
    async fn handle(&self, record: &Record, context: &RecordContext) -> Result<(), BoxError> {
        let value = self.value_of(record)?;
        self.handler.handle(value, record, context).await
    }
}

impl<D, H> BufferHandler for Decoded<D, H>
where
    D: Decoder<Value = H::Value>,
    H: DecodedBufferHandler,
{
    async fn flush(&self, records: &[Record], context: &FlushContext) -> Result<(), Failure> {
        let mut values = Vec::with_capacity(records.len());
        let mut bad = None;
        for record in records {
            match self.value_of(record) {
                Ok(value) => values.push(value),
                Err(error) => {
                    bad = Some(Failure::at(record, error));
                    break;
                }
            }
        }
        // Named, it says that those before it are done: so they have to be.
        let good = &records[..values.len()];
        if !good.is_empty() {
            self.handler.flush(values, good, context).await?;
        }
        bad.map_or(Ok(()), Err)
    }
}

impl<D, H> fmt::Debug for Decoded<D, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoded").finish_non_exhaustive()
    }
}

/// What a decoder made nothing of, and why.
#[derive(Debug)]
struct CannotDecode(BoxError);

impl fmt::Display for CannotDecode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the record cannot be decoded")
    }
}

impl std::error::Error for CannotDecode {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.0)
    }
}
