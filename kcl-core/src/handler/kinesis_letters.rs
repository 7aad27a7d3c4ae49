use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::primitives::Blob;

use crate::BoxError;

use super::dead_letter::{DeadLetter, Letter};

/// Dead letters as records of another Kinesis stream, each acknowledged by it before it counts as
/// taken.
///
/// The content of such a record is a line as [`JsonLines`](super::JsonLines) writes it, with the
/// record that was given up in it; its partition key is that of this record, so the letters of a
/// key stay in order.
///
/// A letter is a third larger than its record, and by some hundred bytes more: give the stream a
/// maximum record size that has room for it. One that is too large for the stream is refused, and
/// its record is tried again for as long as that lasts.
///
/// ```no_run
/// use kcl_core::aws_sdk_kinesis::Client;
/// use kcl_core::handler::{KinesisLetters, Retries};
///
/// # fn with(client: &Client) {
/// let retries = Retries::attempts(5).dead_letter(KinesisLetters::new(client, "orders-dead"));
/// # drop(retries);
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct KinesisLetters {
    client: Client,
    stream: String,
}

impl KinesisLetters {
    /// Puts letters into the stream of this name. Whether it exists shows with the first letter. It
    /// must not be the stream that is read: its letters would be given up again.
    ///
    /// The client tries calls again as it is configured to.
    pub fn new(client: &Client, stream: impl Into<String>) -> Self {
        Self {
            client: client.clone(),
            stream: stream.into(),
        }
    }
}

impl DeadLetter for KinesisLetters {
    async fn deliver(&self, letter: Letter<'_>) -> Result<(), BoxError> {
        if letter.shard.stream.to_string() == self.stream {
            return Err(format!(
                "`KinesisLetters` of the stream {} that is read (another one is allowed)",
                self.stream
            )
            .into());
        }
        let put = self
            .client
            .put_record()
            .stream_name(&self.stream)
            .partition_key(&*letter.record.partition_key)
            .data(Blob::new(letter.to_json() + "\n"));
        put.send().await?;
        Ok(())
    }
}
