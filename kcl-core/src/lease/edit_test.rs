use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::lease::Change;
use crate::model::{LeaseKey, Position, SequenceNumber, Timestamp};

// Few values of each kind, so that a change often meets a row that holds a part of it already.
fn worker() -> impl Strategy<Value = WorkerId> {
    "[ab]".prop_map(WorkerId::from)
}

fn token() -> impl Strategy<Value = Token> {
    "[12]".prop_map(Token::from)
}

fn shards() -> impl Strategy<Value = Vec<ShardId>> {
    vec("[xyz]".prop_map(ShardId::from), 0..3)
}

fn checkpoint() -> impl Strategy<Value = Checkpoint> {
    prop_oneof![
        Just(Checkpoint::AtTimestamp),
        Just(Checkpoint::TrimHorizon),
        Just(Checkpoint::Latest),
        Just(Checkpoint::ShardEnd),
        (0_u128..3, 0_u64..2).prop_map(|(at, sub)| Position::new(
            SequenceNumber::from_u128(at),
            sub
        )
        .into()),
    ]
}

fn pending() -> impl Strategy<Value = Pending> {
    (checkpoint(), option::of("[s]?")).prop_map(|(at, state)| Pending {
        at,
        state: state.map(Bytes::from),
    })
}

fn facts() -> impl Strategy<Value = Facts> {
    (
        option::of(0_i64..2),
        option::of(0_i64..2),
        option::of("[n]"),
    )
        .prop_map(|(start, began, arn)| Facts {
            start_at: start.map(Timestamp::from_millis),
            began_at: began.map(Timestamp::from_millis),
            stream_arn: arn.map(Into::into),
            stream_created_at: None,
        })
}

fn range() -> impl Strategy<Value = HashKeyRange> {
    (0_u128..2, 2_u128..4).prop_map(|(start, end)| HashKeyRange::new(start, end).unwrap())
}

fn lease() -> impl Strategy<Value = Lease> {
    let owners = (
        option::of(worker()),
        option::of(worker()),
        option::of(token()),
    );
    let progress = (0_u64..3, 0_u64..3, checkpoint(), option::of(pending()));
    (owners, progress, shards(), option::of(range()), facts()).prop_map(
        |(owners, progress, children, hash_range, facts)| {
            let (owner, checkpoint_owner, token) = owners;
            let (counter, owner_switches, checkpoint, pending) = progress;
            let new = Lease::new(LeaseKey::single("s"), checkpoint);
            Lease {
                owner,
                checkpoint_owner,
                token,
                counter,
                owner_switches,
                pending,
                children,
                hash_range,
                facts,
                ..new
            }
        },
    )
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        (worker(), token()).prop_map(|(owner, token)| Change::Take { owner, token }),
        token().prop_map(|token| Change::Claim { token }),
        Just(Change::Renew),
        (checkpoint(), option::of(facts()))
            .prop_map(|(to, facts)| Change::Checkpoint { to, facts }),
        pending().prop_map(|pending| Change::Prepare { pending }),
        (worker(), worker()).prop_map(|(by, of)| Change::Request { by, of }),
        worker().prop_map(|to| Change::Withdraw { to }),
        (option::of(checkpoint()), option::of(facts()))
            .prop_map(|(checkpoint, facts)| Change::PassOn { checkpoint, facts }),
        worker().prop_map(|owner| Change::Refuse { owner }),
        (option::of(checkpoint()), option::of(facts()))
            .prop_map(|(checkpoint, facts)| Change::Release { checkpoint, facts }),
        (shards(), option::of(facts()))
            .prop_map(|(children, facts)| Change::End { children, facts }),
        shards().prop_map(|children| Change::Children { children }),
        range().prop_map(|range| Change::HashRange { range }),
        facts().prop_map(|facts| Change::Facts { facts }),
    ]
}

/// What a change leaves of a row that has something of everything.
#[test]
fn each_change_sets_what_it_says_and_nothing_else() {
    let at = |sequence| Checkpoint::from(Position::new(SequenceNumber::from_u128(sequence), 0));
    let pending = |sequence| Pending {
        at: at(sequence),
        state: None,
    };
    let facts = Facts {
        stream_arn: Some("arn".into()),
        ..Facts::default()
    };
    let row = Lease {
        owner: Some("a".into()),
        checkpoint_owner: Some("b".into()),
        token: Some("1".into()),
        counter: 7,
        owner_switches: 3,
        pending: Some(pending(11)),
        children: vec!["x".into()],
        ..Lease::new(LeaseKey::single("s"), at(10))
    };
    let next = Lease {
        counter: 8,
        ..row.clone()
    };
    let stored = |sequence| Lease {
        checkpoint: at(sequence),
        pending: None,
        owner_switches: 0,
        ..next.clone()
    };
    let ended = || Lease {
        checkpoint: Checkpoint::ShardEnd,
        ..stored(12)
    };
    let named = |owner: &str, row: &Lease| Lease {
        owner: Some(owner.into()),
        checkpoint_owner: None,
        ..row.clone()
    };
    let free = |row: Lease| Lease {
        owner: None,
        checkpoint_owner: None,
        token: None,
        ..row
    };
    let passed_on = |row: Lease| Lease {
        checkpoint_owner: None,
        token: None,
        ..row
    };
    let with_facts = |row: Lease| Lease {
        facts: facts.clone(),
        ..row
    };
    let told = || Some(facts.clone());
    let retaken = |row: Lease| Lease {
        token: Some("2".into()),
        ..row
    };
    let cases = [
        (
            Change::Take {
                owner: "c".into(),
                token: "2".into(),
            },
            retaken(Lease {
                owner_switches: 4,
                ..named("c", &next)
            }),
        ),
        (Change::Claim { token: "2".into() }, retaken(next.clone())),
        (Change::Renew, next.clone()),
        (
            Change::Checkpoint {
                to: at(12),
                facts: told(),
            },
            with_facts(stored(12)),
        ),
        (
            Change::Prepare {
                pending: pending(13),
            },
            Lease {
                pending: Some(pending(13)),
                ..next.clone()
            },
        ),
        (
            Change::Request {
                by: "c".into(),
                of: "d".into(),
            },
            Lease {
                owner: Some("c".into()),
                checkpoint_owner: Some("d".into()),
                ..row.clone()
            },
        ),
        (Change::Withdraw { to: "c".into() }, named("c", &row)),
        (
            Change::PassOn {
                checkpoint: Some(at(12)),
                facts: told(),
            },
            passed_on(with_facts(stored(12))),
        ),
        (
            Change::PassOn {
                checkpoint: None,
                facts: None,
            },
            passed_on(next.clone()),
        ),
        (Change::Refuse { owner: "c".into() }, named("c", &next)),
        (
            Change::Release {
                checkpoint: Some(at(12)),
                facts: told(),
            },
            free(with_facts(stored(12))),
        ),
        (
            Change::Release {
                checkpoint: None,
                facts: None,
            },
            free(next.clone()),
        ),
        (
            Change::End {
                children: vec!["y".into()],
                facts: told(),
            },
            free(Lease {
                children: vec!["y".into()],
                ..with_facts(ended())
            }),
        ),
        (
            Change::End {
                children: vec![],
                facts: None,
            },
            free(ended()),
        ),
        (
            Change::Children {
                children: vec!["y".into()],
            },
            Lease {
                children: vec!["y".into()],
                ..next.clone()
            },
        ),
        (
            Change::HashRange {
                range: HashKeyRange::WHOLE,
            },
            Lease {
                hash_range: Some(HashKeyRange::WHOLE),
                ..row.clone()
            },
        ),
        (
            Change::Facts {
                facts: facts.clone(),
            },
            with_facts(next.clone()),
        ),
    ];
    for (change, expected) in cases {
        let mut after = row.clone();
        change.edits().apply(&mut after);
        assert_eq!(after, expected, "{change:?}");
    }
}

proptest! {
    #[test]
    fn a_row_holds_every_change_that_was_applied_to_it(row in lease(), change in change()) {
        let mut after = row.clone();
        change.edits().apply(&mut after);
        prop_assert!(change.is_held_by(&after), "{:?} -> {:?}", row, after);
        // A set of shards may come back in another order.
        after.children.reverse();
        prop_assert!(change.is_held_by(&after), "{:?} -> {:?}", row, after);
    }

    /// A change moves the counter by one or not at all, and never touches the key or the parents.
    #[test]
    fn a_change_moves_the_counter_by_one_at_most(row in lease(), change in change()) {
        let mut after = row.clone();
        change.edits().apply(&mut after);
        let silent = matches!(change, Change::Request { .. } | Change::Withdraw { .. } | Change::HashRange { .. });
        prop_assert_eq!(after.counter, row.counter + u64::from(!silent));
        prop_assert_eq!(&after.key, &row.key);
        prop_assert_eq!(&after.parents, &row.parents);
    }

    /// A row holds a change exactly if the change would alter nothing but counters.
    #[test]
    fn a_row_holds_a_change_that_would_alter_only_counters(row in lease(), change in change()) {
        let mut after = row.clone();
        change.edits().apply(&mut after);
        let mut before = row.clone();
        for row in [&mut before, &mut after] {
            row.counter = 0;
            row.owner_switches = 0;
            row.children.sort();
            row.children.dedup();
        }
        prop_assert_eq!(change.is_held_by(&row), before == after);
    }
}
