//! Checks that the points have in common.

use std::sync::Arc;

use crate::lease::{Consistency, Error, Expect, LeaseTable, Match, ScanPage, Write};
use crate::model::{Checkpoint, Lease, LeaseKey, Position, SequenceNumber};

use super::TableFixture;
use super::rows::key;

pub(super) type Table = Arc<dyn LeaseTable>;

/// Two handles to a table, which has been set up.
pub(super) async fn two(fixture: &dyn TableFixture) -> (Table, Table) {
    (one(fixture).await, one(fixture).await)
}

/// A handle to a table, which has been set up.
pub(super) async fn one(fixture: &dyn TableFixture) -> Table {
    let table = fixture.handle().await;
    table.setup().await.expect("setup");
    table
}

/// The same row with its sets sorted, because their order has no meaning.
pub(super) fn plain(mut row: Lease) -> Lease {
    row.parents.sort();
    row.children.sort();
    row
}

#[track_caller]
pub(super) fn assert_row(what: &str, found: Lease, expected: &Lease) {
    assert_eq!(plain(found), plain(expected.clone()), "{what}");
}

/// The row of the conflict that the result has to be.
#[track_caller]
pub(super) fn conflict<T: std::fmt::Debug>(what: &str, result: Result<T, Error>) -> Option<Lease> {
    match result {
        Err(Error::Conflict { row }) => row.map(|row| *row),
        other => panic!("{what}: expected a conflict, got {other:?}"),
    }
}

#[track_caller]
pub(super) fn assert_refused<T: std::fmt::Debug>(
    what: &str,
    result: Result<T, Error>,
    standing: &Lease,
) {
    let row = conflict(what, result)
        .unwrap_or_else(|| panic!("{what}: the conflict lacks the row that won"));
    assert_row(&format!("{what}: the row that won"), row, standing);
}

pub(super) async fn assert_stored(what: &str, table: &Table, expected: &Lease) {
    let row = table
        .get(&expected.key)
        .await
        .expect("get")
        .unwrap_or_else(|| panic!("{what}: there is no row"));
    assert_row(&format!("{what}: the stored row"), row, expected);
}

pub(super) async fn put(table: &Table, row: &Lease) {
    assert_row(
        "create returns the row",
        table.create(row).await.expect("create"),
        row,
    );
}

/// All pages of a scan in one, and the number of pages.
pub(super) async fn all_rows(table: &Table, consistency: Consistency) -> (ScanPage, usize) {
    let mut all = table.scan(None, consistency).await.expect("the first page");
    let mut pages = 1;
    while let Some(next) = all.next.take() {
        all.append(table.scan(Some(&next), consistency).await.expect("a page"));
        pages += 1;
        assert!(pages < 10_000, "the pages do not end");
    }
    (all, pages)
}

/// Checks a write of the protocol: it changes `row` to `after`, and changes nothing if the row
/// differs in any part of the condition or does not exist. When it is sent again, it conflicts with
/// a row that shows that it was applied.
pub(super) async fn check_write(
    fixture: &dyn TableFixture,
    write: &Write,
    row: &Lease,
    after: &Lease,
) {
    let (table, other) = two(fixture).await;

    for (number, (what, variant)) in violations(&write.expect, row).into_iter().enumerate() {
        let variant = Lease {
            key: key(&format!("shardId-variant-{number}")),
            ..variant
        };
        put(&table, &variant).await;
        let what = format!("with another {what}");
        assert_refused(&what, table.update(&variant.key, write).await, &variant);
        assert_stored(&what, &other, &variant).await;
    }

    let missing = key("shardId-missing");
    let nothing = conflict("without a row", table.update(&missing, write).await);
    assert_eq!(nothing, None, "the conflict of a missing row has no row");
    assert_eq!(
        other.get(&missing).await.expect("get"),
        None,
        "an update created a row"
    );

    put(&table, row).await;
    let returned = table
        .update(&row.key, write)
        .await
        .expect("the condition holds");
    assert_row("the returned row", returned, after);
    assert_stored("after the write", &other, after).await;

    if write.expect != Expect::default() {
        let repeated = conflict("the write sent again", other.update(&row.key, write).await);
        let standing = repeated.expect("the conflict of a repeated write has the row");
        assert!(
            write.change.is_held_by(&standing),
            "the row does not show that the write happened: {standing:?}"
        );
        assert_row("the row after a repeated write", standing, after);
        assert_stored("after a repeated write", &table, after).await;
    }
}

/// The row, each time changed in one part of the condition.
fn violations(expect: &Expect, row: &Lease) -> Vec<(&'static str, Lease)> {
    let mut variants = Vec::new();
    if expect.counter.is_some() {
        variants.push((
            "counter (one more)",
            Lease {
                counter: row.counter + 1,
                ..row.clone()
            },
        ));
        variants.push((
            "counter (one less)",
            Lease {
                counter: row.counter - 1,
                ..row.clone()
            },
        ));
    }
    for token in others(&expect.token) {
        variants.push((
            "token",
            Lease {
                token,
                ..row.clone()
            },
        ));
    }
    for owner in others(&expect.owner) {
        variants.push((
            "owner",
            Lease {
                owner,
                ..row.clone()
            },
        ));
    }
    for checkpoint_owner in others(&expect.checkpoint_owner) {
        variants.push((
            "checkpoint owner",
            Lease {
                checkpoint_owner,
                ..row.clone()
            },
        ));
    }
    if let Some(expected) = &expect.checkpoint {
        for checkpoint in other_checkpoints(expected) {
            variants.push((
                "checkpoint",
                Lease {
                    checkpoint,
                    ..row.clone()
                },
            ));
        }
    }
    if expect.not_ended {
        variants.push((
            "checkpoint: the shard's end",
            Lease {
                checkpoint: Checkpoint::ShardEnd,
                ..row.clone()
            },
        ));
    }
    for (what, variant) in &variants {
        assert!(
            !expect.holds(variant),
            "the suite itself: the condition holds with another {what}"
        );
    }
    variants
}

fn others<T: for<'a> From<&'a str>>(expected: &Match<T>) -> Vec<Option<T>> {
    match expected {
        Match::Any => Vec::new(),
        Match::Is(_) => vec![Some(T::from("somebody-else")), None],
        Match::Absent => vec![Some(T::from("somebody-else"))],
    }
}

fn other_checkpoints(expected: &Checkpoint) -> Vec<Checkpoint> {
    let mut others = vec![
        Checkpoint::AtTimestamp,
        Checkpoint::TrimHorizon,
        Checkpoint::Latest,
        Checkpoint::ShardEnd,
    ];
    if let Some(Position {
        sequence,
        sub_sequence,
    }) = expected.position()
    {
        others.push(Position::new(sequence.clone(), sub_sequence + 1).into());
        others.push(Position::new(SequenceNumber::from_u128(1), *sub_sequence).into());
    }
    others.retain(|other| other != expected);
    others
}

/// Sends the write to the row's key.
pub(super) async fn send(table: &Table, key: &LeaseKey, write: &Write) -> Result<Lease, Error> {
    table.update(key, write).await
}
