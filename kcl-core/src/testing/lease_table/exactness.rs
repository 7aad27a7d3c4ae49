//! Values are read back exactly as they were stored, and compared exactly: point 7 of the contract.
//!
//! Each value here is one that some store is known to change: numbers beyond the 53 bits of a
//! double, texts that are compared without regard to case or trailing spaces, empty values that
//! become missing ones, bytes that are not UTF-8. A checkpoint that is off by one skips a record or
//! delivers it twice.

use bytes::Bytes;

use crate::lease::{Change, Consistency, Expect, Write};
use crate::model::{
    Checkpoint, Facts, HashKeyRange, Lease, LeaseKey, Pending, ShardId, Timestamp, WorkerId,
};

use super::TableFixture;
use super::check::{all_rows, assert_refused, assert_row, assert_stored, plain, put, send, two};
use super::rows::{at, held, key, other, position, token};

/// Every kind of checkpoint, with extreme values.
///
/// Sequence numbers have up to 129 digits by the API of Kinesis, though the service uses 56 today.
/// A sub-sequence number is the place of a record within an aggregate and has 64 bits in the KCL's
/// rows.
fn checkpoints() -> Vec<Checkpoint> {
    let two_to_the_192 = "6277101735386680763835789423207666416102355444464034512896";
    vec![
        Checkpoint::AtTimestamp,
        Checkpoint::TrimHorizon,
        Checkpoint::Latest,
        Checkpoint::ShardEnd,
        position("0", 0),
        position("0", 1),
        position("9007199254740993", 0), // a float would make it even
        position(
            "49640000000000000000000000000000000000000000000000000000",
            0,
        ),
        position(two_to_the_192, 7),
        position(&"9".repeat(129), 0),
        at(1, u64::from(u32::MAX) + 1),
        at(1, i64::MAX.unsigned_abs()),
        at(1, u64::MAX),
    ]
}

/// Checkpoints are read back exactly, however they were written: sentinels, sequence numbers of up
/// to 129 digits, and every 64-bit sub-sequence number. As conditions, they match exactly.
///
/// Each value is stored in both ways, by a creation and by a write, because a table usually has two
/// pieces of code for them. Then it is used as the condition of another write: it must be equal to
/// itself.
pub async fn checkpoints_are_exact(fixture: &dyn TableFixture) {
    let (table, second) = two(fixture).await;
    for (number, checkpoint) in checkpoints().into_iter().enumerate() {
        let created = Lease::new(
            key(&format!("shardId-created-{number}")),
            checkpoint.clone(),
        )
        .owned_by(other(), token("t"));
        put(&table, &created).await;
        assert_stored("a created checkpoint", &second, &created).await;
        let renewed = send(
            &table,
            &created.key,
            &Write::checkpoint(&created, checkpoint.clone()),
        )
        .await;
        assert_eq!(
            renewed
                .expect("the stored checkpoint is the expected one")
                .checkpoint,
            checkpoint
        );

        let written = Lease {
            key: key(&format!("shardId-written-{number}")),
            ..held()
        };
        put(&table, &written).await;
        let row = send(
            &table,
            &written.key,
            &Write::checkpoint(&written, checkpoint.clone()),
        )
        .await
        .expect("checkpoint");
        assert_eq!(row.checkpoint, checkpoint, "a written checkpoint");
        assert_stored("a written checkpoint", &second, &row).await;
    }
}

/// A checkpoint as a condition distinguishes values that differ only in the last digit or in the
/// sub-sequence number.
///
/// A comparison that rounds lets the checkpoint of a lost tenancy through, in just those cases that
/// no test with small numbers finds.
pub async fn checkpoints_are_compared_exactly(fixture: &dyn TableFixture) {
    let (table, _) = two(fixture).await;
    let nines = "9".repeat(129);
    let pairs = [
        (position(&nines, 0), position(&nines[..128], 0)),
        (
            position(&nines, 0),
            position(&format!("{}8", &nines[..128]), 0),
        ),
        (
            position("9007199254740993", 0),
            position("9007199254740992", 0),
        ),
        (at(1, u64::MAX), at(1, u64::MAX - 1)),
        (at(1, 1), at(1, 0)),
    ];
    for (number, (stored, expected)) in pairs.into_iter().enumerate() {
        let row = Lease {
            key: key(&format!("shardId-{number}")),
            checkpoint: stored,
            ..held()
        };
        put(&table, &row).await;
        let seen = Lease {
            checkpoint: expected,
            ..row.clone()
        };
        assert_refused(
            "another checkpoint",
            send(&table, &row.key, &Write::checkpoint(&seen, at(2, 0))).await,
            &row,
        );
    }
}

/// A prepared checkpoint is read back exactly: its position with the sub-sequence number, and its
/// state, with no state, an empty one and any bytes distinguished.
///
/// The state belongs to the processor, which may put anything into it, up to 20,000 bytes here.
/// Whether there is no state or an empty one can be the difference between "nothing was written"
/// and "an empty file was written".
pub async fn prepared_checkpoints_are_exact(fixture: &dyn TableFixture) {
    let (table, second) = two(fixture).await;
    let bytes: Vec<u8> = (0..=255).collect();
    let states = [
        None,
        Some(Bytes::new()),
        Some(Bytes::from(bytes)),
        Some(Bytes::from(vec![0; 20_000])),
    ];
    let mut pending: Vec<Pending> = states
        .into_iter()
        .map(|state| Pending {
            at: at(12, 5),
            state,
        })
        .collect();
    pending.extend(
        checkpoints()
            .into_iter()
            .map(|at| Pending { at, state: None }),
    );
    for (number, pending) in pending.into_iter().enumerate() {
        let created = Lease {
            key: key(&format!("shardId-created-{number}")),
            pending: Some(pending.clone()),
            ..held()
        };
        put(&table, &created).await;
        assert_stored("created as prepared", &second, &created).await;

        let written = Lease {
            key: key(&format!("shardId-written-{number}")),
            ..held()
        };
        put(&table, &written).await;
        let row = send(
            &table,
            &written.key,
            &Write::prepare(&written, pending.clone()),
        )
        .await
        .expect("prepare");
        assert_eq!(row.pending, Some(pending), "what was prepared");
        assert_stored("prepared", &second, &row).await;
    }
}

/// Hash key ranges are read back exactly, at both ends of the 128 bits.
///
/// A range that is off by one looks like a hole between two shards, and a worker reports hash keys
/// that nobody reads.
pub async fn hash_ranges_are_exact(fixture: &dyn TableFixture) {
    let (table, second) = two(fixture).await;
    let bounds = [
        (0, u128::MAX),
        (0, 0),
        (u128::MAX, u128::MAX),
        (u128::MAX / 2, u128::MAX / 2 + 1),
        (1 << 53, (1 << 64) + 1),
    ];
    for (number, (start, end)) in bounds.into_iter().enumerate() {
        let range = HashKeyRange::new(start, end).expect("a range of the suite's own");
        let created = Lease {
            key: key(&format!("shardId-created-{number}")),
            hash_range: Some(range),
            ..held()
        };
        put(&table, &created).await;
        assert_stored("a created range", &second, &created).await;
        let lacking = Lease {
            key: key(&format!("shardId-written-{number}")),
            hash_range: None,
            ..held()
        };
        put(&table, &lacking).await;
        let row = send(&table, &lacking.key, &Write::hash_range(range))
            .await
            .expect("range");
        assert_row(
            "a written range",
            row,
            &Lease {
                hash_range: Some(range),
                ..lacking
            },
        );
    }
}

/// Counters are integers up to 2^63 - 1 and are never rounded.
///
/// A counter only grows, by one per heartbeat, and never gets near 2^63 in practice. But rows come
/// from other programs too, and a counter that is rounded is equal to its neighbour: a write that
/// must be refused would succeed.
///
/// The counter next to it, one bit away, must be refused.
pub async fn counters_are_exact(fixture: &dyn TableFixture) {
    let (table, second) = two(fixture).await;
    for (number, counter) in [0, 1, (1 << 53) + 1, i64::MAX.unsigned_abs() - 1]
        .into_iter()
        .enumerate()
    {
        let row = Lease {
            key: key(&format!("shardId-{number}")),
            counter,
            owner_switches: counter,
            ..held()
        };
        put(&table, &row).await;
        let seen = Lease {
            counter: counter ^ 1,
            ..row.clone()
        };
        assert_refused(
            "the counter next to it",
            send(&table, &row.key, &Write::renew(&seen)).await,
            &row,
        );
        let taken = send(&table, &row.key, &Write::take(&row, other(), token("new")))
            .await
            .expect("take");
        assert_eq!(
            (taken.counter, taken.owner_switches),
            (counter + 1, counter + 1)
        );
        assert_stored("after a take", &second, &taken).await;
    }
}

/// The same shard id in several streams, and without a stream, belongs to different leases.
///
/// An application that reads several streams has shards of the same id in each of them, and Kinesis
/// numbers the shards of every stream from zero. One of the names here is the beginning of another,
/// for stores that look keys up by prefix.
///
/// The same stream that was deleted and created again is another one, with another time of creation
/// in its name.
pub async fn leases_of_several_streams_are_kept_apart(fixture: &dyn TableFixture) {
    let (table, second) = two(fixture).await;
    let streams = [
        None,
        Some("123456789012:orders:1700000000"),
        Some("123456789012:orders:1800000000"),
        Some("123456789012:or"),
    ];
    let keys = streams.map(|stream| LeaseKey {
        stream: stream.map(Into::into),
        shard: ShardId::from("shardId-000000000000"),
    });
    let rows: Vec<Lease> = (0_u64..)
        .zip(keys)
        .map(|(counter, key)| Lease {
            key,
            counter: counter + 1,
            ..held()
        })
        .collect();
    for row in &rows {
        put(&table, row).await;
    }
    let renewed = send(&second, &rows[1].key, &Write::renew(&rows[1]))
        .await
        .expect("renew");
    for row in [&rows[0], &renewed, &rows[2], &rows[3]] {
        assert_stored("a lease of one of several streams", &table, row).await;
    }
    let (all, _) = all_rows(&table, Consistency::Strong).await;
    assert_eq!(all.leases.len(), rows.len());
    for row in [&rows[0], &renewed, &rows[2], &rows[3]] {
        assert!(
            all.leases
                .iter()
                .any(|listed| plain(listed.clone()) == plain(row.clone())),
            "{} is not listed",
            row.key
        );
    }
}

/// Worker names and tokens can be any text: quotes, characters with a meaning in query languages,
/// other scripts.
///
/// An operator chooses the worker ids, often from host names, container names or a template. A
/// store that builds its queries as text, or turns `null` and `1e3` into something else, fails
/// here.
///
/// Each name goes through all places in which a worker can stand: owner, checkpoint owner and
/// token, in conditions and in changes.
pub async fn any_text_is_a_name(fixture: &dyn TableFixture) {
    let (table, second) = two(fixture).await;
    let names = [
        "работник-ß-💡",
        "it's \"quoted\"; --",
        "100% _\\ :v #n",
        " spaces ",
        "null",
        "0x10",
        "1e3",
        "a\nb\tc",
    ];
    for (number, name) in names.into_iter().enumerate() {
        let worker = WorkerId::from(name);
        let row = Lease::new(key(&format!("shardId-{number}")), at(1, 0))
            .owned_by(worker.clone(), token(name));
        put(&table, &row).await;
        let asked = send(
            &table,
            &row.key,
            &Write::request(&row, "asker".into(), worker.clone()),
        )
        .await
        .expect("request");
        assert_eq!(asked.checkpoint_owner, Some(worker.clone()));
        let kept = send(
            &second,
            &row.key,
            &Write::refuse(&asked, worker.clone(), "asker".into()),
        )
        .await
        .expect("refuse");
        assert_eq!(kept.owner, Some(worker));
        let renewed = send(&second, &row.key, &Write::renew(&kept))
            .await
            .expect("renew");
        assert_stored("a name", &table, &renewed).await;
    }
}

/// Names are compared exactly, including case and trailing spaces.
///
/// Some databases compare text without regard to case or trailing spaces unless they are told
/// otherwise. Two tenancies whose tokens look alike would then be one.
///
/// The empty token is tried too: in some stores it is the same as none.
pub async fn names_are_compared_exactly(fixture: &dyn TableFixture) {
    let (table, _) = two(fixture).await;
    let row = held();
    put(&table, &row).await;
    for near in ["TOKEN-1", "token-1 ", "token-", "token-11", ""] {
        let seen = Lease {
            token: Some(token(near)),
            ..row.clone()
        };
        assert_refused(
            "a token that is nearly the same",
            send(&table, &row.key, &Write::renew(&seen)).await,
            &row,
        );
    }
}

/// Each fact can be present or absent independently, and times may be before 1970.
///
/// A fact that is missing is not a fact with the value zero: a lease without a time of start gets one
/// before its shard is opened, and one with the time 0 is read from 1970 on.
pub async fn facts_are_exact(fixture: &dyn TableFixture) {
    let (table, second) = two(fixture).await;
    let time = |millis| Some(Timestamp::from_millis(millis));
    let facts = [
        Facts::default(),
        Facts {
            start_at: time(0),
            ..Facts::default()
        },
        Facts {
            start_at: time(-1),
            ..Facts::default()
        },
        Facts {
            began_at: time(7),
            ..Facts::default()
        },
        Facts {
            stream_created_at: time(i64::from(u32::MAX) * 1000 + 7),
            ..Facts::default()
        },
        Facts {
            stream_arn: Some("arn:aws:kinesis:eu-west-1:123456789012:stream/ß".into()),
            ..Facts::default()
        },
    ];
    for (number, facts) in facts.into_iter().enumerate() {
        let created = Lease {
            key: key(&format!("shardId-created-{number}")),
            facts: facts.clone(),
            ..held()
        };
        put(&table, &created).await;
        assert_stored("created facts", &second, &created).await;
        let written = Lease {
            key: key(&format!("shardId-written-{number}")),
            ..held()
        };
        put(&table, &written).await;
        let write = Write::new(
            Expect::default(),
            Change::Facts {
                facts: facts.clone(),
            },
        );
        let row = table.update(&written.key, &write).await.expect("facts");
        assert_eq!(row.facts, facts, "written facts");
        assert_stored("written facts", &second, &row).await;
    }
}
