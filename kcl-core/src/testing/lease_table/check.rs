//! Checks that the points have in common.
//!
//! The most important one is [`check_write`]. A point names a write, the row before it and the row
//! after it, and `check_write` does the rest: it takes the condition of the write apart and offers
//! the table, one after the other, a row that differs in exactly one part of it. A table that
//! leaves out one comparison accepts one of these rows, and is caught.
//!
//! All reads that decide something go through the other handle, so an answer from memory does not
//! count as stored.

use std::sync::Arc;

use crate::lease::{Consistency, Error, Expect, LeaseTable, Match, ScanPage, Write};
use crate::model::{Assignee, Checkpoint, Lease, LeaseKey, Position, SequenceNumber};

use super::TableFixture;
use super::rows::key;

/// A handle, as a worker has it.
pub(super) type Table = Arc<dyn LeaseTable>;

/// Two handles to the same rows, both set up: one to write with and one to look with.
pub(super) async fn two(fixture: &dyn TableFixture) -> (Table, Table) {
    (one(fixture).await, one(fixture).await)
}

/// A handle that has been set up. `setup` is called for each handle, as each worker of a fleet
/// does, and has to be repeatable.
pub(super) async fn one(fixture: &dyn TableFixture) -> Table {
    let table = fixture.handle().await;
    table.setup().await.expect("setup");
    table
}

/// The row with its sets sorted. Parents and children are sets: DynamoDB returns them in any order.
pub(super) fn plain(mut row: Lease) -> Lease {
    row.parents.sort();
    row.children.sort();
    row
}

/// Compares all attributes of a row, including those that the write did not name.
///
/// `what` says in which situation; without it, two dozen comparisons of the same point look alike.
#[track_caller]
pub(super) fn assert_row(what: &str, found: Lease, expected: &Lease) {
    assert_eq!(plain(found), plain(expected.clone()), "{what}");
}

/// The row in the conflict that the result has to be. `None` is a conflict without a row, which is
/// right only if the row does not exist or is a worker's.
///
/// Any other error is a failure of the point: a worker answers a conflict by adopting the row that
/// won, but after [`Unknown`](Error::Unknown) it would have to find out first, and after
/// [`Throttled`](Error::Throttled) it would send the same write again.
#[track_caller]
pub(super) fn conflict<T: std::fmt::Debug>(what: &str, result: Result<T, Error>) -> Option<Lease> {
    match result {
        Err(Error::Conflict { row }) => row.map(|row| *row),
        other => panic!("{what}: expected a conflict, got {other:?}"),
    }
}

/// A refused write has to say what stands in the row instead. With that the worker learns in the
/// same call who has the lease now; without it, it would need a read, and the row could change
/// again.
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

/// Reads the row with strong consistency and compares it.
pub(super) async fn assert_stored(what: &str, table: &Table, expected: &Lease) {
    let row = table
        .get(&expected.key)
        .await
        .expect("get")
        .unwrap_or_else(|| panic!("{what}: there is no row"));
    assert_row(&format!("{what}: the stored row"), row, expected);
}

/// Creates a row, whose creation must return it unchanged.
pub(super) async fn put(table: &Table, row: &Lease) {
    assert_row(
        "create returns the row",
        table.create(row).await.expect("create"),
        row,
    );
}

/// All pages of a scan in one, and the number of pages. A table whose pages never end would hang
/// the coordination of every worker; here it fails after 10,000 pages.
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

/// Checks a write of the protocol from all sides:
///
/// 1. With a row that differs in one part of the condition, for each part: the write is refused
///    with the row that won, and the row is unchanged.
/// 2. Without a row: the write is refused without a row, and creates none.
/// 3. With the row as expected: the write returns `after`, and `after` is what is stored.
/// 4. Sent a second time, as by a client that retries after a lost answer: it is refused with a row
///    that shows that the first one was applied. That is how a worker tells its own success from
///    another worker's. Writes that hold again and change nothing
///    more, and those without a condition, are left out here, because they succeed again.
///
/// Every variant gets a key of its own, so that the rows of one write cannot help or hurt each
/// other.
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

    let holds_again = write.apply(Some(after)).is_ok_and(|again| again == *after);
    if !holds_again && write.expect != Expect::default() {
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

/// The row, each time changed in one part of the condition, with the name of that part.
///
/// It checks itself: a variant that still meets the condition would make a correct table fail, and
/// hide that nothing is tested.
///
/// One more and one less are both tried for the counter: a table that compares with "at least"
/// accepts one of them.
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
    if let Match::Is(assigned) = &expect.assigned {
        let process = Assignee::new(assigned.worker.clone(), "another-process".into());
        let worker = Assignee::new("somebody-else".into(), assigned.incarnation.clone());
        for assigned_to in [Some(process), Some(worker), None] {
            variants.push((
                "assignment",
                Lease {
                    assigned_to,
                    ..row.clone()
                },
            ));
        }
    }
    for (what, variant) in &variants {
        assert!(
            !expect.holds(variant),
            "the suite itself: the condition holds with another {what}"
        );
    }
    variants
}

/// Values that do not match. For an expected value that is another one and none at all, because a
/// comparison with a missing attribute is true in some query languages.
fn others<T: for<'a> From<&'a str>>(expected: &Match<T>) -> Vec<Option<T>> {
    match expected {
        Match::Any => Vec::new(),
        Match::Is(_) => vec![Some(T::from("somebody-else")), None],
        Match::Absent => vec![Some(T::from("somebody-else"))],
    }
}

/// Checkpoints that differ from the expected one: all sentinels, and positions that differ only in
/// the sub-sequence number or only in the sequence number. A table that compares just one of the
/// two columns accepts one of them.
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

/// Sends the write to the row's key. It is here so that a point reads as a sequence of writes.
pub(super) async fn send(table: &Table, key: &LeaseKey, write: &Write) -> Result<Lease, Error> {
    table.update(key, write).await
}
