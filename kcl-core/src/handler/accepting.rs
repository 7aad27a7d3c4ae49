//! What adapters share that work on records beside the calls of their shard: whose the records are,
//! how a batch is accepted, and how the work is drained.

use std::future::Future;
use std::time::Duration;

use tokio::sync::Notify;

use crate::processor::{Background, Failure, WorkOwner};
use crate::runtime::pause;

/// A call waits for room no longer than this: a shard whose records wait to be tried again is not
/// one whose handler hangs. Far below the least budget of a handler, 1 s.
const WAIT_FOR_ROOM: Duration = Duration::from_millis(200);

/// What is said to an application that gives an adapter records which it must not have.
pub(super) struct Misuse {
    /// They are of another shard, or of another acquisition of its shard.
    pub(super) other_shard: &'static str,
    /// Another adapter works on the records of the shard.
    pub(super) two_owners: &'static str,
}

/// Claims the records of this background for an owner that had those of `before`.
pub(super) fn claim(
    background: &Background,
    before: Option<&Background>,
    owner: &WorkOwner,
    misuse: &Misuse,
) -> Result<(), &'static str> {
    // Another acquisition has another `Background`, even of the same shard by the same worker: its
    // records may lie before those that this one has done.
    if before.is_some_and(|before| !before.is_same(background)) {
        return Err(misuse.other_shard);
    }
    if !background.take_over(owner) {
        return Err(misuse.two_owners);
    }
    Ok(())
}

/// Accepts so many records of a batch as far as there is room, and waits for more, until all are
/// accepted or the consumer wants to go on. `accept` is given how many were accepted, and adds to it.
///
/// It never waits for long: the rest of the batch is then handed out again. The wait for room is not
/// the work on a record, which has a budget of its own.
pub(super) async fn accept_whole(
    background: &Background,
    records: usize,
    room: &Notify,
    mut accept: impl FnMut(&mut usize) -> Option<Failure>,
) -> Result<(), Failure> {
    let mut accepted = 0;
    loop {
        if let Some(failure) = accept(&mut accepted) {
            return Err(failure);
        }
        if accepted == records {
            background.accepted_whole();
            return Ok(());
        }
        tokio::select! {
            biased;
            // First the consumer's wish: a hand-over must not wait for room. Then the room: where
            // both it and the limit are there, because this was polled late, more is accepted.
            () = background.leaves() => return Ok(()),
            () = room.notified() => {}
            () = pause(&**background.clock(), WAIT_FOR_ROOM) => return Ok(()),
        }
    }
}

/// Waits until nothing is at work, as long as it may be when the shard is given up.
pub(super) async fn drain(background: Option<Background>, all_ended: impl Future<Output = ()>) {
    if let Some(background) = background {
        tokio::select! {
            biased;
            () = background.drain_is_over() => {}
            () = all_ended => {}
        }
    }
}
