//! Explores every way in which one or two shards can be split and merged up to six shards in total,
//! every place to begin, and every order of events: reshards, audits, crashes between two rows,
//! beginnings and ends of shards.
//!
//! Time is counted in reshards: tick `t` is the time between reshard `t` and the next, and every
//! shard that is open in a tick gets one record in it. So "no gap" means that every tick of every
//! shard from the initial position on is read.

mod history;
mod run;

use history::{History, InitialStart};
use run::{Faults, Run};

/// Explores every history from the chosen starts, and returns how many states that gave.
fn explore_all(faults: Faults, chosen: impl Fn(InitialStart) -> bool) -> usize {
    let histories = History::all();
    // One root: itself, 1 with one split, 2 + 1 with two reshards, 4 + 1 with three; two roots: 1,
    // 2 + 1, 6 + 4 + 1, 4 + 1.
    assert_eq!(histories.len(), 30);
    let mut states = 0;
    for history in histories {
        for start in InitialStart::all(history.reshards)
            .into_iter()
            .filter(|start| chosen(*start))
        {
            states += Run::explore(&history, start, faults);
        }
    }
    states
}

/// Exactly from the initial position on.
#[test]
fn every_reshard_tree_is_read_whole_in_every_order() {
    assert!(explore_all(Faults::default(), |_| true) > 20_000);
}

#[test]
fn a_deleted_row_never_leaves_a_gap() {
    let deletes = Faults {
        deletes: 1,
        ..Faults::default()
    };
    assert!(explore_all(deletes, InitialStart::is_distinct) > 20_000);
}

#[test]
fn what_is_still_retained_is_read_after_shards_left_the_stream() {
    let trims = Faults {
        trims: 1,
        ..Faults::default()
    };
    assert!(explore_all(trims, InitialStart::is_distinct) > 20_000);
}
