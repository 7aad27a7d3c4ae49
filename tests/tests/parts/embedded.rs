//! Which shards are split and merged.

use examples::embedded::{OpenShard, to_merge, to_split};

fn shard(id: &str, start: u128, end: u128, parent: Option<&str>) -> OpenShard {
    OpenShard {
        id: id.to_owned(),
        start,
        end,
        parent: parent.map(ToOwned::to_owned),
    }
}

#[test]
fn the_widest_is_split_and_a_merge_does_not_undo_it() {
    let whole = [shard("a", 0, u128::MAX, None)];
    let (_, middle) = to_split(&whole).unwrap();
    assert_eq!(middle, 1 << 127);
    let open = vec![
        shard("c", 50, 99, Some("x")),
        shard("b", 25, 49, Some("a")),
        shard("d", 0, 24, Some("a")),
    ];
    let (first, second) = to_merge(open).unwrap();
    assert_eq!((&*first.id, &*second.id), ("b", "c"));
    assert_eq!(
        to_merge(vec![
            shard("b", 0, 4, Some("a")),
            shard("c", 5, 9, Some("a"))
        ]),
        None
    );
    assert_eq!(to_split(&[shard("a", 7, 7, None)]), None);
}
