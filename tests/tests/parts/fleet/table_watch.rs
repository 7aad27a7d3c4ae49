//! What is noticed in the lease table from outside.

use kcl_core::model::{Checkpoint, Lease, LeaseKey, Position, SequenceNumber, Timestamp};
use tests::fleet::TableSeen;

fn lease(shard: &str, owner: &str, done: u128) -> Lease {
    let checkpoint = Checkpoint::At(Position::from(SequenceNumber::from_u128(done)));
    Lease::new(LeaseKey::single(shard), checkpoint).owned_by(owner.into(), "t".into())
}

#[test]
fn moves_and_checkpoints_that_go_back_are_noticed() {
    let mut seen = TableSeen::default();
    let at = Timestamp::from_millis(1);
    seen.take_in(vec![lease("a", "w1", 5), lease("b", "w1", 5)], at);
    seen.take_in(vec![lease("a", "w2", 6), lease("b", "w1", 6)], at);
    assert_eq!((seen.moves.len(), seen.backwards.len()), (3, 0));
    assert!(seen.is_balanced(&["w1", "w2"]) && !seen.is_balanced(&["w1"]));
    seen.take_in(vec![lease("a", "w2", 7), lease("b", "w2", 5)], at);
    assert_eq!((seen.moves.len(), seen.backwards.len()), (4, 1));
    assert!(seen.is_balanced(&["w2"]) && !seen.is_balanced(&["w1", "w2"]));
}
