//! The writer and reader of the change signal's row, `~fleet-0`.
//!
//! ```text
//! a worker has released a lease --announce--> rsValue, rsRecent of `~fleet-0`
//!                                                     |  read by every worker, at least every 650 ms
//! a worker that wants leases <--- the keys to read ---+
//! ```
//!
//! Nothing depends on it: a worker that misses an announcement finds the change with its next scan.
//! That is why an announcement may, as a last resort, replace those of others.

use std::sync::{Arc, Mutex, PoisonError};

use kcl_core::lease::{ChangeSignal, Changed, Error};

use crate::call::{Calls, Refused};
use crate::expression::{Parts, Update, exactly};
use crate::item::attribute::{ENTITY_TYPE, KIND_SIGNAL, SIGNAL_RECENT, SIGNAL_VALUE};
use crate::item::{Item, Reader, SIGNAL_KEY, read_signal, recent_value, text};
use crate::runtime::signal_value;

/// How many times an announcement is merged with those of others before it replaces them. Each lost
/// round is won by another announcement, so all of them are lost only if a whole fleet announces at
/// the same moment, as at a deployment.
const ROUNDS: usize = 16;

/// Reads and changes the row of the change signal.
///
/// An announcement is added to the earlier ones: the row is replaced if it still has the value that
/// was seen last; otherwise the conflict returns the current row, and the write is repeated with
/// that. A write without this condition would drop announcements that another worker has just made.
///
/// A clone shares what was seen, so all workers of a process that share a table save each other
/// rounds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Announcer {
    /// The row as it was last seen, to which the next announcement is added. `None` if there is no
    /// row, or if it has not been read yet: a wrong guess costs one round and no announcement.
    seen: Arc<Mutex<Option<ChangeSignal>>>,
}

impl Announcer {
    /// Reads the signal. Eventual consistency is enough: the row is read again in the next second,
    /// and it costs half as much. A missing row is a signal that nobody has used.
    ///
    /// # Errors
    /// Those of a read, and a malformed row. Workers then rely on their scans.
    pub(crate) async fn read(&self, calls: &Calls) -> Result<ChangeSignal, Error> {
        let item = calls.get(text(SIGNAL_KEY), false).await?;
        Ok(self.note(item.as_ref())?.unwrap_or_default())
    }

    /// Adds these changes to the signal. Cancel safe: an announcement that is dropped is one that
    /// another worker finds by its scan. An empty one writes nothing.
    ///
    /// # Errors
    /// `Throttled` or `Unknown`: the caller repeats it, because announcing twice does no harm.
    pub(crate) async fn announce(&self, calls: &Calls, changed: &[Changed]) -> Result<(), Error> {
        if changed.is_empty() {
            return Ok(());
        }
        let mut seen = self
            .seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        for _ in 0..ROUNDS {
            match self.replace(calls, seen.as_ref(), changed).await {
                Ok(()) => return Ok(()),
                Err(Refused::Condition(item)) => seen = self.note(item.as_ref())?,
                Err(Refused::Failed(error)) => return Err(error),
            }
        }
        // Do not wait any longer: write without a condition. Workers that saw an earlier value no
        // longer find it, and scan.
        match self
            .write(calls, ChangeSignal::new(""), changed, |_| None)
            .await
        {
            Ok(()) => Ok(()),
            Err(Refused::Failed(error)) => Err(error),
            // This write has no condition that could fail.
            Err(Refused::Condition(_)) => Err(Error::Throttled {
                source: "the change signal changes too often".into(),
            }),
        }
    }

    /// One round: the write with the condition that the row is as it was last seen.
    async fn replace(
        &self,
        calls: &Calls,
        seen: Option<&ChangeSignal>,
        changed: &[Changed],
    ) -> Result<(), Refused> {
        let unchanged = |parts: &mut Parts| match seen {
            Some(seen) => Some(exactly(
                parts,
                [(SIGNAL_VALUE, Some(text(seen.value.as_str())))],
            )),
            None => Some(format!(
                "attribute_not_exists({})",
                parts.name(SIGNAL_VALUE)
            )),
        };
        self.write(calls, seen.cloned().unwrap_or_default(), changed, unchanged)
            .await
    }

    /// Writes `before` with an announcement added, under this condition.
    async fn write(
        &self,
        calls: &Calls,
        before: ChangeSignal,
        changed: &[Changed],
        condition: impl FnOnce(&mut Parts) -> Option<String>,
    ) -> Result<(), Refused> {
        let mut after = before;
        after.announce(signal_value(), changed);
        let mut parts = Parts::default();
        let condition = condition(&mut parts);
        let mut update = Update::default();
        update.set(&mut parts, ENTITY_TYPE, text(KIND_SIGNAL));
        update.set(&mut parts, SIGNAL_VALUE, text(after.value.as_str()));
        update.set(&mut parts, SIGNAL_RECENT, recent_value(&after));
        let item = calls
            .update(text(SIGNAL_KEY), update.text(), condition, parts)
            .await?;
        self.note(Some(&item)).map(drop).map_err(Refused::Failed)
    }

    /// Takes in the row as a call has returned it. A row without a value was created by somebody
    /// else and counts as no signal.
    fn note(&self, item: Option<&Item>) -> Result<Option<ChangeSignal>, Error> {
        let signal = item
            .map(|item| read_signal(Reader(item)))
            .transpose()?
            .filter(|signal| !signal.value.is_empty());
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone_from(&signal);
        Ok(signal)
    }
}
