use crate::lease::{Consistency, Write};
use crate::model::{Checkpoint, Lease};

use super::TableFixture;
use super::check::{all_rows, assert_refused, assert_stored, conflict, one, put, two};
use super::rows::{asked_for, at, free, held, key, other, owner, token};

/// A created lease is returned and stored as given, with or without an owner and with every
/// attribute.
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
