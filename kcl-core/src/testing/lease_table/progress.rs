//! What an owner stores about its progress: checkpoints, prepared ones, the shard's end, children,
//! facts, the hash key range, and what the shard carries.
//!
//! The promise behind these points is that a stored checkpoint never goes back. An owner that has
//! lost its lease may still have a write on the way; that write expects a counter, a token and the
//! previous checkpoint, and at least one of them has changed by then.

use bytes::Bytes;

use crate::lease::Write;
use crate::model::{Checkpoint, Facts, HashKeyRange, Lease, Pending, Throughput, Timestamp};

use super::TableFixture;
use super::check::{assert_refused, assert_row, assert_stored, put};
use super::check::{check_write, send, two};
use super::rows::{asked_for, at, held, passed, shards};

/// Checks that a checkpoint stores `to`, removes the prepared one, resets the owner switches, turns
/// the time to start at into the time at which the lease began, and keeps everything else.
///
/// Each of these belongs to the same write. If the prepared checkpoint stayed, a later owner would
/// commit a position that has been passed. If the owner switches stayed, an operator would see a
/// shard that makes no progress.
async fn check_checkpoint(fixture: &dyn TableFixture, row: &Lease, to: Checkpoint) {
    let after = Lease {
        checkpoint: to.clone(),
        pending: None,
        owner_switches: 0,
        counter: row.counter + 1,
        facts: passed(),
        ..row.clone()
    };
    check_write(fixture, &Write::checkpoint(row, to), row, &after).await;
}

/// A checkpoint needs counter, token and the previous checkpoint; it removes the prepared one and
/// resets the owner switches.
///
/// The previous checkpoint is in the condition for the sake of edits: an operator who sets a lease
/// back to an earlier position must not be overruled by a worker that still holds it. The worker
/// sees the conflict and starts again from the edited position.
pub async fn a_checkpoint_needs_counter_token_and_the_one_before(fixture: &dyn TableFixture) {
    let row = held();
    check_checkpoint(fixture, &row, at(11, 0)).await;
}

/// A checkpoint can be written while a hand-over is pending, and leaves it pending.
///
/// While an owner drains for a requester it finishes records and stores checkpoints as always.
pub async fn a_checkpoint_leaves_a_hand_over_pending(fixture: &dyn TableFixture) {
    let row = asked_for();
    check_checkpoint(fixture, &row, at(11, 0)).await;
}

/// A first checkpoint replaces the sentinel with which the lease began.
///
/// A sentinel that stayed would send the next owner back to where the lease began, and everything
/// since then would be delivered again.
pub async fn a_first_checkpoint_replaces_the_value_at_the_start(fixture: &dyn TableFixture) {
    let row = Lease {
        checkpoint: Checkpoint::Latest,
        pending: None,
        ..held()
    };
    check_checkpoint(fixture, &row, at(1, 0)).await;
}

/// A first checkpoint moves the time at which the lease began to `began_at`.
///
/// From then on the sequence number says where to read. The time is kept under another name, because
/// the leases of other shards may still need it.
pub async fn a_first_checkpoint_passes_the_time_of_the_start(fixture: &dyn TableFixture) {
    let time = Some(Timestamp::from_millis(1_700_000_000_123));
    let row = Lease {
        checkpoint: Checkpoint::Latest,
        facts: Facts {
            start_at: time,
            ..Facts::default()
        },
        pending: None,
        ..held()
    };
    let facts = Facts {
        began_at: time,
        ..Facts::default()
    };
    let after = Lease {
        checkpoint: at(1, 0),
        owner_switches: 0,
        counter: row.counter + 1,
        facts,
        ..row.clone()
    };
    check_write(fixture, &Write::checkpoint(&row, at(1, 0)), &row, &after).await;
}

/// What a shard carries goes along with a write of its owner, and is kept by one that does not name
/// it. It is no part of a condition: the same write with another number is recognised in the row.
///
/// Workers balance by it. A number that was lost would make a shard look idle, and leases would move
/// because of that.
pub async fn what_a_shard_carries_goes_along_with_a_write(fixture: &dyn TableFixture) {
    let carries = |bytes, records| Some(Throughput { bytes, records });
    for (before, after) in [
        (None, carries(1, 0)),
        (held().throughput, carries(0, 0)),
        (carries(0, 0), carries(10_737_418_240, 4_000_000)),
        (held().throughput, None),
    ] {
        let row = Lease {
            key: super::rows::key(&format!("shardId-{before:?}-{after:?}").replace([' ', ':'], "")),
            throughput: before,
            ..held()
        };
        let (table, second) = two(fixture).await;
        put(&table, &row).await;
        let renew = Write::renew(&row).with_throughput(after);
        let stored = Lease {
            counter: row.counter + 1,
            throughput: after.or(before),
            ..row.clone()
        };
        let returned = send(&table, &row.key, &renew).await.expect("a renewal");
        assert_row("the returned row", returned, &stored);
        assert_stored("what it carries", &second, &stored).await;

        let repeated = Write::renew(&row).with_throughput(carries(7, 7));
        let refused = send(&second, &row.key, &repeated).await;
        assert_refused("the renewal measured anew", refused, &stored);
        assert!(repeated.change.is_held_by(&stored));
    }
}

/// A prepared checkpoint has the same condition as a checkpoint, and changes neither the checkpoint
/// nor the owner switches.
///
/// It is the first half of a two-phase checkpoint: a promise of the processor to its own store. A
/// worker that fails before the second half starts at the old checkpoint and sees the prepared one.
pub async fn a_prepared_checkpoint_needs_what_a_checkpoint_needs(fixture: &dyn TableFixture) {
    let row = Lease {
        pending: None,
        ..held()
    };
    let pending = Pending {
        at: at(15, 3),
        state: Some(Bytes::from_static(b"\0half done\xff")),
    };
    let after = Lease {
        pending: Some(pending.clone()),
        counter: row.counter + 1,
        ..row.clone()
    };
    check_write(fixture, &Write::prepare(&row, pending), &row, &after).await;
}

/// A prepared checkpoint replaces the previous one completely: old state bytes do not stay if the
/// new one has none.
///
/// The state of one position beside another position would make a processor restore what it never
/// prepared.
pub async fn a_prepared_checkpoint_replaces_the_one_before(fixture: &dyn TableFixture) {
    let row = held();
    let pending = Pending {
        at: Checkpoint::ShardEnd,
        state: None,
    };
    let after = Lease {
        pending: Some(pending.clone()),
        counter: row.counter + 1,
        ..row.clone()
    };
    check_write(fixture, &Write::prepare(&row, pending), &row, &after).await;
}

/// The row after the end of its shard: no owner, no prepared checkpoint, and the time of the start
/// passed.
fn ended(row: &Lease) -> Lease {
    Lease {
        owner: None,
        checkpoint_owner: None,
        token: None,
        counter: row.counter + 1,
        checkpoint: Checkpoint::ShardEnd,
        pending: None,
        owner_switches: 0,
        facts: passed(),
        ..row.clone()
    }
}

/// The end of a shard needs counter, token and checkpoint; one write stores the final checkpoint
/// and the children, and removes the owner.
///
/// The end opens the gates of the children. It must not be possible for the row to say that the
/// shard is finished while a worker still owns it, or for the children to be missing from a
/// finished row: other workers would wait for them.
pub async fn an_end_stores_the_children_and_leaves_no_owner(fixture: &dyn TableFixture) {
    let row = Lease {
        children: Vec::new(),
        ..held()
    };
    let children = shards(&["shardId-000000000020", "shardId-000000000021"]);
    let after = Lease {
        children: children.clone(),
        ..ended(&row)
    };
    check_write(fixture, &Write::end(&row, children), &row, &after).await;
}

/// The end of a shard without children keeps the children that were stored before.
///
/// The service may stop naming the children when the shard has left the stream. What an earlier
/// write has stored is then all that is known of them.
pub async fn an_end_without_children_keeps_those_known_before(fixture: &dyn TableFixture) {
    let row = held();
    check_write(fixture, &Write::end(&row, Vec::new()), &row, &ended(&row)).await;
}

/// The end of a shard ends a hand-over that was pending.
///
/// There is nothing left to hand over. The requester finds a lease that is finished and forgets its
/// request.
pub async fn an_end_ends_a_pending_hand_over(fixture: &dyn TableFixture) {
    let row = asked_for();
    let children = shards(&["shardId-000000000020"]);
    let after = Lease {
        children: children.clone(),
        ..ended(&row)
    };
    check_write(fixture, &Write::end(&row, children), &row, &after).await;
}

/// Children can be stored before the end; this needs counter and token.
///
/// They are known some time before the last record is done. A crash in between must not lose them,
/// because the service may not name them again.
pub async fn children_need_counter_and_token(fixture: &dyn TableFixture) {
    let row = held();
    let children = shards(&["shardId-000000000030"]);
    let after = Lease {
        children: children.clone(),
        counter: row.counter + 1,
        ..row.clone()
    };
    check_write(fixture, &Write::children(&row, children), &row, &after).await;
}

/// Facts for a row that lacks them need counter and token.
///
/// Rows of a Java worker have no facts. The first owner of this framework adds them, as a write of
/// its tenancy.
pub async fn facts_need_counter_and_token(fixture: &dyn TableFixture) {
    let row = Lease {
        facts: Facts::default(),
        ..held()
    };
    let facts = Facts {
        start_at: Some(Timestamp::from_millis(5)),
        ..Facts::default()
    };
    let after = Lease {
        facts: facts.clone(),
        counter: row.counter + 1,
        ..row.clone()
    };
    check_write(fixture, &Write::facts(&row, facts), &row, &after).await;
}

/// Facts replace the previous facts completely.
///
/// A stream that was deleted and created anew has other facts. Old and new ones in one row would
/// belong to no stream at all.
pub async fn facts_replace_those_before(fixture: &dyn TableFixture) {
    let row = held();
    let facts = Facts {
        stream_arn: Some("arn:aws:kinesis:eu-west-1:123456789012:stream/anew".into()),
        ..Facts::default()
    };
    let after = Lease {
        facts: facts.clone(),
        counter: row.counter + 1,
        ..row.clone()
    };
    check_write(fixture, &Write::facts(&row, facts), &row, &after).await;
}

/// A hash key range needs only the row, is not a heartbeat, and can be written again.
///
/// It is the only write without a condition on the state of the row. It decides nothing and is
/// always the same for a shard, so any worker may add it, even to a lease that another worker
/// holds. If it moved the counter, the holder's next renewal would fail.
pub async fn a_hash_range_needs_the_row_alone(fixture: &dyn TableFixture) {
    let row = Lease {
        hash_range: None,
        ..held()
    };
    let write = Write::hash_range(HashKeyRange::WHOLE);
    check_write(fixture, &write, &row, &held()).await;
    let (table, second) = two(fixture).await;
    send(&table, &row.key, &write)
        .await
        .expect("the same range once more");
    assert_stored("the same range once more", &second, &held()).await;
}

/// A whole tenancy, with each write built on the row that the previous one returned.
///
/// No read in between: a worker that holds a lease reads its row only from the answers to its own
/// writes. A table that returned the row as it was before, or only the changed attributes, fails at
/// the second write.
pub async fn each_write_builds_on_the_row_that_the_last_one_returned(fixture: &dyn TableFixture) {
    let (table, second) = two(fixture).await;
    let mut row = Lease::new(held().key, Checkpoint::TrimHorizon);
    put(&table, &row).await;
    row = send(&table, &row.key, &Write::take(&row, "a".into(), "1".into()))
        .await
        .expect("take");
    for place in 1..=3 {
        row = send(
            &table,
            &row.key,
            &Write::prepare(
                &row,
                Pending {
                    at: at(place, 1),
                    state: None,
                },
            ),
        )
        .await
        .expect("prepare");
        row = send(&table, &row.key, &Write::checkpoint(&row, at(place, 1)))
            .await
            .expect("checkpoint");
        row = send(&table, &row.key, &Write::renew(&row))
            .await
            .expect("renew");
    }
    let asked = send(
        &second,
        &row.key,
        &Write::request(&row, "b".into(), "a".into()),
    )
    .await
    .expect("request");
    row = send(
        &table,
        &row.key,
        &Write::pass_on(&asked, "a".into(), "b".into(), Some(at(4, 0))),
    )
    .await
    .expect("pass on");
    row = send(
        &second,
        &row.key,
        &Write::claim(&row, "b".into(), "2".into()),
    )
    .await
    .expect("claim");
    row = send(&second, &row.key, &Write::end(&row, shards(&["c"])))
        .await
        .expect("end");
    let expected = Lease {
        counter: 13,
        checkpoint: Checkpoint::ShardEnd,
        children: shards(&["c"]),
        ..Lease::new(held().key, Checkpoint::TrimHorizon)
    };
    assert_eq!(row, expected);
    assert_stored("at the end", &table, &expected).await;
}
