use kcl_core::BoxError;

/// Why a letter was not taken. The record is tried again after a pause.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LetterError {
    /// The letter is larger than a message of the queue may be.
    #[error(
        "the letter has {bytes} bytes, and a message of the queue may have {max_bytes}: its content can be left out \
         (`SqsLetters::without_large_data`), or it can go elsewhere (`SqsLetters::large_letters_to`)"
    )]
    TooLarge {
        /// The size of the letter.
        bytes: usize,
        /// The limit that is set.
        max_bytes: usize,
    },
    /// The queue has not taken the message, or did not answer.
    #[error("the queue did not take the message")]
    NotSent(#[source] BoxError),
    /// The answer does not say that the message was taken as it was sent.
    #[error("the queue's answer does not confirm the message: {0}")]
    NotConfirmed(String),
}
