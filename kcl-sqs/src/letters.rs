use std::fmt;
use std::sync::Arc;

use aws_sdk_sqs::Client;
use kcl_core::BoxError;
use kcl_core::handler::{DeadLetter, Letter};

use crate::LetterError;
use crate::large::LargeLetters;
use crate::name::{digest, identifier};

/// The largest message that SQS takes, in bytes: 1 MiB, the default of a queue's
/// `MaximumMessageSize`.
const MAX_BYTES: usize = 1024 * 1024;

/// Dead letters as messages of an SQS queue, each confirmed by it before it counts as taken.
///
/// The body of a message is the letter as [`Letter::to_json`] writes it: one line of JSON, with the
/// record in it, its content in Base64. So a letter is a third larger than its record, and by some
/// hundred bytes more.
///
/// **A letter that is larger than a message may be** ([`max_bytes`](Self::max_bytes)) is refused,
/// and its record tried again for as long as that lasts, so that nothing is lost without somebody
/// having wanted it. [`without_large_data`](Self::without_large_data) sends it without the content,
/// and [`large_letters_to`](Self::large_letters_to) hands it to another `DeadLetter`.
///
/// **Of a FIFO queue**, known by its name that ends in `.fifo`, the message group is the partition
/// key of the record: the letters of a key stay in order. The deduplication id is the place of the
/// record (stream, shard, sequence number), so a letter that is sent again within five minutes is
/// one message. A key that SQS does not allow as a group (other characters than those of ASCII that
/// are seen, or more than 128 of them) is replaced by `md5:` and its digest.
///
/// The client tries calls again as it is configured to. It needs the permission `sqs:SendMessage`,
/// and for an encrypted queue those of its key.
#[derive(Clone)]
pub struct SqsLetters {
    client: Client,
    queue_url: Arc<str>,
    is_fifo: bool,
    max_bytes: usize,
    large: LargeLetters,
}

impl SqsLetters {
    /// Sends letters to the queue with this URL. Whether it exists shows with the first letter.
    pub fn new(client: &Client, queue_url: impl Into<String>) -> Self {
        let queue_url: Arc<str> = queue_url.into().into();
        Self {
            client: client.clone(),
            is_fifo: queue_url.ends_with(".fifo"),
            queue_url,
            max_bytes: MAX_BYTES,
            large: LargeLetters::default(),
        }
    }

    /// The `MaximumMessageSize` of the queue, in bytes. Default: 1,048,576, the largest that SQS
    /// allows. A queue made before August 2025 may have 262,144.
    #[must_use]
    pub const fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// A letter that is too large is sent without the content of its record, as
    /// [`Letter::to_json_without_data`] writes it: with the place of the record, at which it can be
    /// read until the stream forgets it.
    #[must_use]
    pub fn without_large_data(mut self) -> Self {
        self.large = LargeLetters::WithoutData;
        self
    }

    /// A letter that is too large goes there instead, whole.
    ///
    /// ```no_run
    /// use kcl_core::handler::JsonLines;
    /// use kcl_sqs::SqsLetters;
    /// # fn with(client: &kcl_sqs::aws_sdk_sqs::Client) -> std::io::Result<SqsLetters> {
    /// # let queue = "https://sqs.eu-west-1.amazonaws.com/123456789012/orders-dead";
    ///
    /// let large = JsonLines::append("orders.dead.jsonl")?;
    /// let letters = SqsLetters::new(client, queue).large_letters_to(large);
    /// # Ok(letters)
    /// # }
    /// ```
    #[must_use]
    pub fn large_letters_to(mut self, to: impl DeadLetter) -> Self {
        self.large = LargeLetters::To(Arc::new(to));
        self
    }

    async fn send(&self, letter: &Letter<'_>, body: String) -> Result<(), LetterError> {
        let bytes = body.len();
        if bytes > self.max_bytes {
            let max_bytes = self.max_bytes;
            return Err(LetterError::TooLarge { bytes, max_bytes });
        }
        let sent_digest = digest(&body);
        let mut send = self
            .client
            .send_message()
            .queue_url(&*self.queue_url)
            .message_body(body);
        if self.is_fifo {
            let (shard, at) = (letter.shard, &letter.record.position);
            let place = format!("{}/{}/{at}", shard.stream, shard.shard);
            send = send
                .message_group_id(identifier(&letter.record.partition_key))
                .message_deduplication_id(identifier(&place));
        }
        let answer = send
            .send()
            .await
            .map_err(|error| LetterError::NotSent(error.into()))?;
        // A proxy or an emulator that answers something else must not cost a record.
        if answer.message_id().is_none_or(str::is_empty) {
            let said = "it has no `MessageId`".to_owned();
            return Err(LetterError::NotConfirmed(said));
        }
        match answer.md5_of_message_body() {
            Some(taken) if taken != sent_digest => {
                let said = format!("the MD5 of its body is {taken}, expected is {sent_digest}");
                Err(LetterError::NotConfirmed(said))
            }
            _ => Ok(()),
        }
    }
}

impl DeadLetter for SqsLetters {
    /// Not cancel safe in this: a letter may have been sent when it is dropped. It comes again then.
    async fn deliver(&self, letter: Letter<'_>) -> Result<(), BoxError> {
        let whole = letter.to_json();
        let body = match &self.large {
            LargeLetters::To(to) if whole.len() > self.max_bytes => {
                return to.deliver(letter).await;
            }
            LargeLetters::WithoutData if whole.len() > self.max_bytes => {
                letter.to_json_without_data()
            }
            _ => whole,
        };
        Ok(self.send(&letter, body).await?)
    }
}

impl fmt::Debug for SqsLetters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqsLetters")
            .field("queue_url", &self.queue_url)
            .field("max_bytes", &self.max_bytes)
            .finish_non_exhaustive()
    }
}
