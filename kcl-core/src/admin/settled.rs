use crate::lease::{Error, LeaseTable, Write};
use crate::model::{Lease, LeaseKey};

/// How often a write without an answer is sent again.
const TRIES: u32 = 5;

/// Carries a write out until it is known what became of it. An answer that was lost is looked up in
/// the row: the write is sent again only if the row does not show it.
///
/// Only for writes that may be repeated: one that was overtaken by another operator's and is sent
/// again then counts as the later one.
pub(super) async fn settled(
    table: &dyn LeaseTable,
    key: &LeaseKey,
    write: &Write,
) -> Result<Lease, Error> {
    let mut tries = 0;
    loop {
        tries += 1;
        let lost = match table.update(key, write).await {
            Err(error @ Error::Unknown { .. }) => error,
            // The first of several tries may have been the one that was carried out.
            Err(Error::Conflict { row: Some(row) })
                if tries > 1 && write.change.is_held_by(&row) =>
            {
                return Ok(*row);
            }
            other => return other,
        };
        match table.get(key).await? {
            Some(row) if write.change.is_held_by(&row) => return Ok(row),
            _ if tries == TRIES => return Err(lost),
            _ => {}
        }
    }
}
