use std::sync::{Arc, Mutex, PoisonError};

use crate::model::Position;

/// The greatest position of a tenancy that its processor was given: no checkpoint passes it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Delivered(Arc<Mutex<Option<Position>>>);

impl Delivered {
    /// Records up to here are being handed out. A batch that comes again changes nothing.
    pub(crate) fn reach(&self, position: &Position) {
        let mut greatest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if greatest.as_ref().is_none_or(|greatest| greatest < position) {
            *greatest = Some(position.clone());
        }
    }

    pub(crate) fn greatest(&self) -> Option<Position> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
