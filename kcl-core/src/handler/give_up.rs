use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;

use crate::processor::Background;
use crate::runtime::panic_text;

use super::Letter;
use super::retries::LastResort;
use super::rules::text_of;

/// What has become of a record that was given up.
#[derive(Debug)]
pub(super) enum GivenUp {
    /// It is passed.
    Passed,
    /// Nobody has taken it, as it says here: it is tried again.
    NotTaken(Arc<str>),
    /// The worker stops at it, or its time is over: it is not done.
    Left,
}

/// Does with a record what its last resort says, and tells of it. The checkpoint may pass it only
/// when it was passed.
///
/// ```text
///   last resort   Stop               the worker stops              Left
///                 Skip               told                          Passed
///                 DeadLetter         taken, and so told            Passed
///                                    refused, or it panicked       NotTaken
///                                    the lease is over by now      Left
/// ```
pub(super) async fn give_up(
    last_resort: &LastResort,
    background: &Background,
    letter: Letter<'_>,
) -> GivenUp {
    let position = &letter.record.position;
    match last_resort {
        LastResort::Stop => {
            background.fail(letter.failure());
            GivenUp::Left
        }
        LastResort::Skip => {
            background.tell_skipped(position, letter.why);
            GivenUp::Passed
        }
        LastResort::DeadLetter(to) => {
            // The work may have gone on beyond the time of the lease. With no await before the
            // delivery.
            if background.may_begin().is_none() {
                return GivenUp::Left;
            }
            // If this is dropped while the target works, the letter may have been taken: it comes a
            // second time from the next owner. The other order would lose the record.
            let cause: Arc<str> = match AssertUnwindSafe(to.deliver(letter)).catch_unwind().await {
                Ok(Ok(())) => {
                    background.tell_dead_lettered(position, letter.attempts, letter.why);
                    return GivenUp::Passed;
                }
                Ok(Err(refused)) => text_of(refused),
                Err(panic) => panic_text(panic).into(),
            };
            background.tell_letter_refused(position, &cause);
            GivenUp::NotTaken(format!("the dead letter was not taken: {cause}").into())
        }
    }
}
