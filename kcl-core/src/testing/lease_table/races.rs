//! Many writers, one winner: that the check of a condition and the write are one step.
//!
//! The other points send one write at a time, so a table that reads, compares and then writes
//! passes all of them. Here writes overlap, from two handles. In a fleet they do so at every start:
//! all workers see the same free leases at the same moment.

use std::future::Future;

use futures_util::future::join_all;

use crate::lease::{Error, Write};
use crate::model::{Checkpoint, Lease, LeaseKey, Position, SequenceNumber, WorkerId};

use super::TableFixture;
use super::check::{Table, assert_row, assert_stored, put, send, two};
use super::rows::{asked_for, free, held, key, other, owner, token};

/// How many times a write is tried on a busy table. A table in a file has one writer at a time, and
/// 64 of them may have to queue for longer than one call may take.
const TRIES: usize = 100;

/// The result of a write once the table is not too busy. The throttled attempts have written
/// nothing, so they may be repeated without changing what is tested.
async fn through<T, F: Future<Output = Result<T, Error>>>(
    mut write: impl FnMut() -> F,
) -> Result<T, Error> {
    let mut result = write().await;
    for _ in 1..TRIES {
        if !matches!(result, Err(Error::Throttled { .. })) {
            break;
        }
        result = write().await;
    }
    result
}

/// A worker of the race: its owner and token in the row tell who has won.
fn contender(number: usize) -> WorkerId {
    format!("worker-{number:02}").into()
}

/// The only success among the results. All others must be conflicts with the row that it wrote.
///
/// Two winners are two workers that deliver the same shard. No winner is a lease that nobody gets
/// although everybody tries.
#[track_caller]
fn one_winner(results: Vec<Result<Lease, Error>>) -> Lease {
    let (won, lost): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
    assert_eq!(won.len(), 1, "winners");
    let won = won.into_iter().flatten().next().expect("the winner");
    for result in lost {
        match result {
            Err(Error::Conflict { row: Some(row) }) => assert_row("the row that won", *row, &won),
            other => panic!("expected a conflict with the row that won, got {other:?}"),
        }
    }
    won
}

/// Of 64 workers that try to take a lease at the same counter, exactly one wins, and all others get
/// its row.
///
/// The number is that of a fleet in which every worker takes at once.
pub async fn one_of_64_takers_wins(fixture: &dyn TableFixture) {
    let (table, second) = two(fixture).await;
    let seen = free();
    put(&table, &seen).await;
    let results = join_all((0..64).map(|number| {
        let table = if number % 2 == 0 { &table } else { &second };
        let write = Write::take(&seen, contender(number), token(&format!("token-{number}")));
        through(move || {
            let write = write.clone();
            let key = seen_key();
            async move { send(table, &key, &write).await }
        })
    }))
    .await;
    let won = one_winner(results);
    assert_eq!(won.counter, seen.counter + 1);
    assert_stored("after the race", &table, &won).await;
}

/// The lease that all of them want.
fn seen_key() -> LeaseKey {
    free().key
}

/// Of 64 workers that try to create a lease, exactly one wins.
///
/// Audits of several workers find the same new shard at the same time.
///
/// All of them must learn from the conflict who was first, because they report that lease as
/// another worker's from then on.
pub async fn one_of_64_creators_wins(fixture: &dyn TableFixture) {
    let (table, second) = two(fixture).await;
    let results = join_all((0..64).map(|number| {
        let table = if number % 2 == 0 { &table } else { &second };
        let row = Lease::new(seen_key(), Checkpoint::TrimHorizon)
            .owned_by(contender(number), token(&format!("token-{number}")));
        through(move || {
            let row = row.clone();
            async move { table.create(&row).await }
        })
    }))
    .await;
    let won = one_winner(results);
    assert_stored("after the race", &second, &won).await;
}

/// Either the owner hands the lease over or the requester withdraws, never both.
///
/// This race happens whenever a drain takes about as long as a requester is willing to wait. If
/// both succeeded, the owner would read on in a lease that the requester is about to claim. It is
/// run for 20 rounds, because a race that is lost once in a while is lost.
pub async fn a_passing_on_and_a_withdrawal_exclude_each_other(fixture: &dyn TableFixture) {
    let (table, second) = two(fixture).await;
    for round in 0..20 {
        let row = Lease {
            key: key(&format!("shardId-{round}")),
            ..asked_for()
        };
        put(&table, &row).await;
        let pass_on = Write::pass_on(&row, owner(), other(), None);
        let withdraw = Write::withdraw(&row, other(), owner());
        let results = join_all(
            [(&table, pass_on), (&second, withdraw)].map(|(table, write)| {
                let key = row.key.clone();
                through(move || {
                    let (key, write) = (key.clone(), write.clone());
                    async move { send(table, &key, &write).await }
                })
            }),
        )
        .await;
        one_winner(results);
    }
}

/// If writers read a value, add to it and write it under a condition, no addition is lost.
///
/// It is the oldest test of a compare-and-set: 8 writers add 10 each, and the sum must be 80. A
/// lost addition would be a checkpoint that was acknowledged and is not there.
pub async fn no_conditional_addition_is_lost(fixture: &dyn TableFixture) {
    const WRITERS: u64 = 8;
    const EACH: u64 = 10;
    let (table, second) = two(fixture).await;
    let start = Lease {
        checkpoint: Position::from(SequenceNumber::from_u128(0)).into(),
        counter: 0,
        ..held()
    };
    put(&table, &start).await;
    join_all((0..WRITERS).map(|number| add(if number % 2 == 0 { &table } else { &second }, EACH)))
        .await;
    let end = table.get(&start.key).await.expect("get").expect("the row");
    assert_eq!(
        end.counter,
        WRITERS * EACH,
        "each addition moved the counter once"
    );
    assert_eq!(
        end.checkpoint,
        Position::new(SequenceNumber::from_u128(0), WRITERS * EACH).into()
    );
}

/// Adds one to the sub-sequence number, again and again. After a conflict it goes on from the row
/// that won, as an owner does.
async fn add(table: &Table, times: u64) {
    let mut row = table.get(&held().key).await.expect("get").expect("the row");
    let mut left = times;
    while left > 0 {
        let sub_sequence = row
            .checkpoint
            .position()
            .map_or(0, |position| position.sub_sequence);
        let to = Position::new(SequenceNumber::from_u128(0), sub_sequence + 1);
        match send(table, &row.key, &Write::checkpoint(&row, to.into())).await {
            Ok(after) => {
                row = after;
                left -= 1;
            }
            Err(Error::Conflict {
                row: Some(standing),
            }) => row = *standing,
            Err(Error::Throttled { .. }) => {}
            Err(other) => panic!("an addition: {other}"),
        }
    }
}
