use std::fmt;
use std::sync::Arc;

use crate::model::Record;
use crate::processor::Failure;
use crate::runtime::contained;

/// Says which records a handler is given.
#[derive(Clone, Default)]
pub(super) struct RecordFilter(Option<Arc<FilterFn>>);

/// What the application has given.
type FilterFn = dyn Fn(&Record) -> bool + Send + Sync;

impl RecordFilter {
    /// A filter of the application. It may panic: see [`of`](Self::of).
    pub(super) fn new(wants: impl Fn(&Record) -> bool + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(wants)))
    }

    /// What it says of each of these, or of those before the first at which it panics.
    pub(super) fn of(&self, records: &[Record]) -> (Vec<bool>, Option<Failure>) {
        let Some(wants) = &self.0 else {
            return (vec![true; records.len()], None);
        };
        let mut said = Vec::with_capacity(records.len());
        for record in records {
            match contained(|| wants(record)) {
                Ok(is_wanted) => said.push(is_wanted),
                // A record of which it is not known whether it is wanted is neither given nor
                // passed: the batch fails at it, and what precedes it counts.
                Err(panic) => {
                    let error = format!("the filter of the records panicked: {panic}");
                    return (said, Some(Failure::at(record, error)));
                }
            }
        }
        (said, None)
    }
}

impl fmt::Debug for RecordFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Some" } else { "None" })
    }
}
