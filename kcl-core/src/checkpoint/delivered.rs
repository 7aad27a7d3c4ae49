//! The consumer raises it before each delivery, because the processor may store a checkpoint within
//! the call. Checkpointers read it from any task.

use std::sync::{Arc, Mutex, PoisonError};

use crate::model::Position;

/// The greatest position that a tenancy has delivered to its processor. No checkpoint can be beyond
/// it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Delivered(Arc<Mutex<Option<Position>>>);

impl Delivered {
    /// Notes that records up to here are being delivered. A batch that is delivered again changes
    /// nothing.
    pub(crate) fn reach(&self, position: &Position) {
        let mut greatest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if greatest.as_ref().is_none_or(|greatest| greatest < position) {
            *greatest = Some(position.clone());
        }
    }

    /// `None` before the first delivery. A position that was read but not delivered does not count.
    pub(crate) fn greatest(&self) -> Option<Position> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
