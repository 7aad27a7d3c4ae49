use std::sync::{Arc, Mutex};

use kcl_core::BoxError;
use kcl_core::handler::{DeadLetter, Letter};

use super::locked;

/// Keeps the payloads of dead letters.
#[derive(Clone, Default)]
pub(crate) struct LetterBox {
    pub(crate) kept: Arc<Mutex<Vec<String>>>,
}

impl DeadLetter for LetterBox {
    async fn deliver(&self, letter: Letter<'_>) -> Result<(), BoxError> {
        let data = String::from_utf8(letter.record.data.to_vec())?;
        locked(&self.kept).push(data);
        Ok(())
    }
}
