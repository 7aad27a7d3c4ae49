//! Where the reading of a shard begins if the processor chooses the start.
//!
//! ```text
//!                    After, TrimHorizon              SkipTo
//!                  <-------------------- stored ------------------->
//!   ---------------------------------------|------------------------------>  positions of the shard
//!     delivered again: the sink lacks it                 skipped: the sink has it already
//! ```
//!
//! This does not change the stored checkpoint. Until reading has passed the stored checkpoint,
//! records are processed a second time, and their positions are not stored.

use crate::model::{Checkpoint, Position};

/// Where reading starts, as chosen by a processor in `initialize`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Start {
    /// After the stored checkpoint.
    #[default]
    Checkpoint,
    /// At the oldest retained record: everything from there on is delivered again.
    TrimHorizon,
    /// After this position, which is at or before the stored checkpoint: the records between the
    /// two are delivered again. For a sink that was restored from a backup.
    After(Position),
    /// After this position, even if it is after the stored checkpoint: **records between the two
    /// are never delivered.** For a sink that has them already.
    SkipTo(Position),
}

/// A start that would skip records, without [`Start::SkipTo`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "cannot begin after {wanted}: that would skip records after the checkpoint {stored}. Expected a position up to it; \
     use `Start::SkipTo` to skip records"
)]
#[non_exhaustive]
pub struct StartRefused {
    /// The requested position.
    pub wanted: Position,
    /// The stored checkpoint.
    pub stored: Checkpoint,
}

/// The checkpoint at which reading begins, or `None` if that is `stored`, the one in the row.
///
/// # Errors
/// If it is after `stored`, or `stored` is not a position to compare it with, and it is not
/// [`Start::SkipTo`].
pub fn begin(stored: &Checkpoint, start: &Start) -> Result<Option<Checkpoint>, StartRefused> {
    let begin = match start {
        Start::Checkpoint => return Ok(None),
        Start::TrimHorizon => Checkpoint::TrimHorizon,
        Start::SkipTo(position) => Checkpoint::At(position.clone()),
        Start::After(position) if stored.position().is_some_and(|stored| position <= stored) => {
            Checkpoint::At(position.clone())
        }
        Start::After(wanted) => {
            return Err(StartRefused {
                wanted: wanted.clone(),
                stored: stored.clone(),
            });
        }
    };
    Ok((begin != *stored).then_some(begin))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::SequenceNumber;

    fn at(sequence: u128) -> Position {
        SequenceNumber::from_u128(sequence).into()
    }

    #[test]
    fn what_precedes_the_checkpoint_comes_again_by_a_plain_word() {
        let stored = Checkpoint::At(at(5));
        assert_eq!(begin(&stored, &Start::Checkpoint), Ok(None));
        assert_eq!(
            begin(&stored, &Start::After(at(2))),
            Ok(Some(Checkpoint::At(at(2))))
        );
        assert_eq!(begin(&stored, &Start::After(at(5))), Ok(None));
        assert_eq!(
            begin(&stored, &Start::TrimHorizon),
            Ok(Some(Checkpoint::TrimHorizon))
        );
        assert_eq!(
            begin(&Checkpoint::Latest, &Start::TrimHorizon),
            Ok(Some(Checkpoint::TrimHorizon))
        );
        assert_eq!(
            begin(&Checkpoint::TrimHorizon, &Start::TrimHorizon),
            Ok(None)
        );
    }

    #[test]
    fn records_are_left_out_by_their_own_word_alone() {
        for stored in [
            Checkpoint::At(at(5)),
            Checkpoint::TrimHorizon,
            Checkpoint::Latest,
            Checkpoint::AtTimestamp,
        ] {
            let error = begin(&stored, &Start::After(at(6))).unwrap_err();
            assert!(error.to_string().contains("SkipTo"), "{error}");
            assert_eq!(
                begin(&stored, &Start::SkipTo(at(6))),
                Ok(Some(Checkpoint::At(at(6))))
            );
        }
    }
}
