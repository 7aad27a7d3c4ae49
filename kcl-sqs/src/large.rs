use std::sync::Arc;

use async_trait::async_trait;
use kcl_core::BoxError;
use kcl_core::handler::{DeadLetter, Letter};

/// What becomes of a letter that is larger than a message may be.
#[derive(Clone, Default)]
pub(crate) enum LargeLetters {
    /// It is refused.
    #[default]
    Refused,
    /// It is sent without the content of its record.
    WithoutData,
    /// It goes there.
    To(Arc<dyn AnyDeadLetter>),
}

/// A [`DeadLetter`] whose type nobody needs to know.
#[async_trait]
pub(crate) trait AnyDeadLetter: Send + Sync {
    async fn deliver(&self, letter: Letter<'_>) -> Result<(), BoxError>;
}

#[async_trait]
impl<D: DeadLetter> AnyDeadLetter for D {
    async fn deliver(&self, letter: Letter<'_>) -> Result<(), BoxError> {
        DeadLetter::deliver(self, letter).await
    }
}
