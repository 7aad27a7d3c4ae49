use std::sync::{Arc, Mutex};

use kcl_core::BoxError;
use kcl_core::handler::{DeadLetter, Discarded, Letter};

use super::locked;

/// The payload of a dead letter, why it is one, its attempts, and what the last one said.
pub(crate) type ToldLetter = (String, Discarded, u32, String);

/// Keeps the payloads of dead letters, and what is told of them.
#[derive(Clone, Default)]
pub(crate) struct LetterBox {
    pub(crate) kept: Arc<Mutex<Vec<String>>>,
    pub(crate) told: Arc<Mutex<Vec<ToldLetter>>>,
    /// So many deliveries fail first.
    pub(crate) refuses: Arc<Mutex<u32>>,
    /// So many deliveries never return first.
    hangs: Arc<Mutex<u32>>,
}

impl LetterBox {
    /// The first delivery never returns.
    pub(crate) fn hanging_once() -> Self {
        let letters = Self::default();
        *locked(&letters.hangs) = 1;
        letters
    }
}

impl DeadLetter for LetterBox {
    async fn deliver(&self, letter: Letter<'_>) -> Result<(), BoxError> {
        let left = locked(&self.hangs).checked_sub(1);
        if let Some(left) = left {
            *locked(&self.hangs) = left;
            std::future::pending::<()>().await;
        }
        let left = locked(&self.refuses).checked_sub(1);
        if let Some(left) = left {
            *locked(&self.refuses) = left;
            return Err("no room".into());
        }
        let data = String::from_utf8(letter.record.data.to_vec())?;
        let error = letter.error.unwrap_or_default().to_owned();
        locked(&self.told).push((data.clone(), letter.why, letter.attempts, error));
        locked(&self.kept).push(data);
        Ok(())
    }
}
