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
        (0_u128..3, 0_u64..2).prop_map(|(at, sub)| Position::new(SequenceNumber::from_u128(at), sub).into()),
    ]
}

fn pending() -> impl Strategy<Value = Pending> {
    (checkpoint(), option::of("[s]?")).prop_map(|(at, state)| Pending { at, state: state.map(Bytes::from) })
}

fn facts() -> impl Strategy<Value = Facts> {
    (option::of(0_i64..2), option::of(0_i64..2), option::of("[n]")).prop_map(|(start, began, arn)| Facts {
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
    let owners = (option::of(worker()), option::of(worker()), option::of(token()));
    let progress = (0_u64..3, 0_u64..3, checkpoint(), option::of(pending()));
    (owners, progress, shards(), option::of(range()), facts()).prop_map(|(owners, progress, children, hash_range, facts)| {
        let (owner, checkpoint_owner, token) = owners;
        let (counter, owner_switches, checkpoint, pending) = progress;
        let new = Lease::new(LeaseKey::single("s"), checkpoint);
        Lease { owner, checkpoint_owner, token, counter, owner_switches, pending, children, hash_range, facts, ..new }
    })
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        (worker(), token()).prop_map(|(owner, token)| Change::Take { owner, token }),
        token().prop_map(|token| Change::Claim { token }),
        Just(Change::Renew),
        (checkpoint(), option::of(facts())).prop_map(|(to, facts)| Change::Checkpoint { to, facts }),
        pending().prop_map(|pending| Change::Prepare { pending }),
        (worker(), worker()).prop_map(|(by, of)| Change::Request { by, of }),
        worker().prop_map(|to| Change::Withdraw { to }),
        (option::of(checkpoint()), option::of(facts())).prop_map(|(checkpoint, facts)| Change::PassOn { checkpoint, facts }),
        worker().prop_map(|owner| Change::Refuse { owner }),
        (option::of(checkpoint()), option::of(facts())).prop_map(|(checkpoint, facts)| Change::Release { checkpoint, facts }),
        (shards(), option::of(facts())).prop_map(|(children, facts)| Change::End { children, facts }),
        shards().prop_map(|children| Change::Children { children }),
        range().prop_map(|range| Change::HashRange { range }),
        facts().prop_map(|facts| Change::Facts { facts }),
    ]
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

    #[test]
    fn a_change_moves_the_counter_by_one_or_not_at_all_and_never_the_key_or_the_parents(row in lease(), change in change()) {
        let mut after = row.clone();
        change.edits().apply(&mut after);
        let silent = matches!(change, Change::Request { .. } | Change::Withdraw { .. } | Change::HashRange { .. });
        prop_assert_eq!(after.counter, row.counter + u64::from(!silent));
        prop_assert_eq!(&after.key, &row.key);
        prop_assert_eq!(&after.parents, &row.parents);
    }

    #[test]
    fn a_row_holds_a_change_exactly_if_the_change_would_alter_nothing_but_counters(row in lease(), change in change()) {
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
