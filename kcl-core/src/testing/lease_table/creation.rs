//! Rows are created only by a creation and deleted only under a condition: points 1 and 2 of the
//! contract.
//!
//! A lease that is created over another one loses a checkpoint, and records are read again from the
//! start. A lease that is deleted too early is created again by the next audit, with the same
//! result.

use crate::lease::{Consistency, Write};
use crate::model::{Checkpoint, Lease};

use super::TableFixture;
use super::check::{all_rows, assert_refused, assert_stored, conflict, one, put, two};
use super::rows::{asked_for, at, free, held, key, other, owner, token};

/// A created lease is returned and stored as given, with or without an owner and with every
/// attribute.
///
/// A lease is created with an owner when a worker begins with it at once, and without one for all
/// others. In both cases the row must be exactly what was asked for: an audit creates leases at
/// positions that it has computed.
pub async fn a_created_lease_is_stored_as_given(fixture: &dyn TableFixture) {
    let (table, second) = two(fixture).await;
    let bare = Lease::new(key("shardId-bare"), Checkpoint::TrimHorizon);
    let owned =
        Lease::new(key("shardId-owned"), Checkpoint::Latest).owned_by(owner(), token("token-1"));
    assert_eq!(owned.counter, 1, "an owned creation begins at 1");
    for row in [
        bare,
        owned,
        Lease {
            key: key("shardId-full"),
            ..asked_for()
        },
        free(),
    ] {
        put(&table, &row).await;
        assert_stored("the created row", &second, &row).await;
    }
}

/// A creation is rejected if the row exists, whoever created it, and the row stays as it is.
///
/// Every worker audits, so several of them create the lease of a new shard at the same time. The
/// second one must not reset what the first one has already read. The same creation again is
/// refused too: the caller finds from the row that it succeeded.
pub async fn a_creation_does_not_replace_a_row(fixture: &dyn TableFixture) {
    let (table, second) = two(fixture).await;
    put(&table, &held()).await;
    let newcomer =
        Lease::new(held().key, Checkpoint::TrimHorizon).owned_by(other(), token("token-2"));
    assert_refused("a second creation", second.create(&newcomer).await, &held());
    assert_refused("the same creation", table.create(&held()).await, &held());
    assert_stored("after a second creation", &second, &held()).await;
}

/// A lease is deleted only if it has the expected counter and is at the shard's end.
///
/// An audit judges that a finished lease is of no use any more, and deletes it a moment later. If
/// somebody has set the lease back in between, to read the shard again, the counter or the
/// checkpoint has changed, and the delete must not succeed.
pub async fn a_delete_needs_its_counter_and_the_end_of_the_shard(fixture: &dyn TableFixture) {
    let (table, second) = two(fixture).await;
    let ended = Lease {
        checkpoint: Checkpoint::ShardEnd,
        ..free()
    };
    let judged = Write::delete(&ended);

    for (number, row) in [
        Lease {
            counter: ended.counter + 1,
            ..ended.clone()
        },
        Lease {
            counter: ended.counter - 1,
            ..ended.clone()
        },
        Lease {
            checkpoint: at(10, 1),
            ..ended.clone()
        },
        Lease {
            checkpoint: Checkpoint::TrimHorizon,
            ..ended.clone()
        },
    ]
    .into_iter()
    .enumerate()
    {
        let row = Lease {
            key: key(&format!("shardId-variant-{number}")),
            ..row
        };
        put(&table, &row).await;
        assert_refused(
            "a delete that does not fit",
            table.delete(&row.key, &judged).await,
            &row,
        );
        assert_stored("after a refused delete", &second, &row).await;
    }

    put(&table, &ended).await;
    table
        .delete(&ended.key, &judged)
        .await
        .expect("the condition holds");
    assert_eq!(
        second.get(&ended.key).await.expect("get"),
        None,
        "the row is still there"
    );
    let (rest, _) = all_rows(&second, Consistency::Strong).await;
    assert!(
        rest.leases.iter().all(|row| row.key != ended.key),
        "the row is still listed"
    );
    assert_eq!(rest.leases.len(), 4, "a delete took other rows with it");
}

/// A delete of a missing lease is a conflict without a row.
///
/// Several workers may find the same lease superfluous. The one that comes second must not take it
/// for an error of the table.
pub async fn a_delete_of_nothing_is_a_conflict_without_a_row(fixture: &dyn TableFixture) {
    let table = one(fixture).await;
    assert_eq!(
        conflict(
            "nothing to delete",
            table.delete(&held().key, &Write::delete(&held())).await
        ),
        None
    );
}

/// After a delete, the same lease can be created again, and has nothing of the old one.
///
/// An operator deletes a row so that it is created anew at the initial position. A table that only
/// marks rows as deleted must not let the old children, facts or counters shine through.
pub async fn a_deleted_lease_can_be_created_anew(fixture: &dyn TableFixture) {
    let (table, second) = two(fixture).await;
    let ended = Lease {
        checkpoint: Checkpoint::ShardEnd,
        ..free()
    };
    put(&table, &ended).await;
    table
        .delete(&ended.key, &Write::delete(&ended))
        .await
        .expect("delete");
    let anew = Lease::new(ended.key, Checkpoint::TrimHorizon);
    put(&second, &anew).await;
    assert_stored("the new row", &table, &anew).await;
}
