//! Restores the records of a folder.

use std::collections::HashMap;

use ferrokinesis::store::Store;

use super::records::{Journal, JournalError, Logs, Origin, Position};

/// The logs of a folder, for the streams that the store has read.
///
/// Records of a stream that no longer exists are deleted: a process may have died after it had
/// deleted a stream but before it had deleted the records.
///
/// # Errors
///
/// If the journal cannot be read.
///
/// Whether records belong to the stream of their name shows in their sequence numbers: those of a
/// stream that was created again begin with another time.
pub(super) async fn restore(store: &Store, journal: Journal) -> Result<Logs, JournalError> {
    for name in journal.streams()? {
        let origins = origins(store, &name).await;
        let first = journal.first_sequence(&name)?;
        let known = match first {
            Some((shard, sequence)) => {
                origins.get(&shard).copied() == Position::at(&sequence).map(|at| at.origin)
            }
            None => !origins.is_empty(),
        };
        if !known {
            tracing::warn!(
                stream = name,
                "deleting the records of a stream that no longer exists"
            );
            journal.delete(&name)?;
        }
    }
    Logs::restored(journal)
}

/// What the sequence numbers of a stream's shards begin with, by shard; empty if there is no such
/// stream.
async fn origins(store: &Store, name: &str) -> HashMap<i64, Origin> {
    let Ok(stream) = store.get_stream(name).await else {
        return HashMap::new();
    };
    stream
        .shards
        .iter()
        .filter_map(Origin::of)
        .map(|origin| (origin.shard, origin))
        .collect()
}
