use std::sync::Arc;

use kcl_core::MemoryLeaseTable;
use kcl_core::admin::Observer;
use kcl_core::lease::LeaseTable as _;
use kcl_core::model::{Checkpoint, Lease};

use super::*;

async fn fleet(leases: &[(&str, &[&str])]) -> FleetView {
    let table = MemoryLeaseTable::new();
    for (shard, parents) in leases {
        let mut lease = Lease::new(LeaseKey::single(*shard), Checkpoint::TrimHorizon);
        lease.parents = parents.iter().map(|parent| (*parent).into()).collect();
        table.create(&lease).await.unwrap();
    }
    Observer::new(Arc::new(table)).look().await.unwrap()
}

fn lines(fleet: &FleetView) -> Vec<(String, usize)> {
    let line = |(view, depth): (&LeaseView, usize)| (view.lease.key.to_string(), depth);
    tree(fleet).into_iter().map(line).collect()
}

#[tokio::test]
async fn a_lease_stands_below_the_first_parent_that_has_one() {
    let fleet = fleet(&[
        ("0", &[]),
        ("1", &["gone"]),
        ("2", &["0"]),
        ("3", &["0"]),
        ("4", &["1", "3"]),
        ("5", &["gone", "2"]),
    ])
    .await;
    let expected = [("0", 0), ("2", 1), ("5", 2), ("3", 1), ("1", 0), ("4", 1)];
    assert_eq!(
        lines(&fleet),
        expected.map(|(id, depth)| (id.to_owned(), depth))
    );
}

/// Rows that somebody has edited are shown too.
#[tokio::test]
async fn leases_that_are_their_own_ancestors_are_shown_once() {
    let fleet = fleet(&[("0", &["1"]), ("1", &["0"]), ("2", &["2"]), ("3", &[])]).await;
    let mut all: Vec<String> = lines(&fleet).into_iter().map(|(id, _)| id).collect();
    assert_eq!(all.first().map(String::as_str), Some("3"));
    all.sort();
    assert_eq!(all, ["0", "1", "2", "3"]);
}

#[tokio::test]
async fn a_wish_is_read_and_selects() {
    let fleet = fleet(&[("00", &[]), ("01", &[]), ("11", &[])]).await;
    let found = |query: &str| {
        let wish = Wish::read(query).unwrap();
        let all = fleet.leases.iter().filter(|it| wish.wants(it)).collect();
        wish.page(all).len()
    };
    assert_eq!(found(""), 3);
    assert_eq!(found("find=1&state=free"), 2);
    assert_eq!(found("find=%31%31&limit=5"), 1);
    assert_eq!(found("from=1&limit=1"), 1);
    assert_eq!(found("from=7"), 0);
    assert_eq!(found("state=held"), 0);
    assert_eq!(found("state=paused"), 0);
    assert_eq!(found("holder=a"), 0);
    for (wrong, why) in [
        ("limit=many", "expected a whole number"),
        (
            "state=lost",
            "held, hand_over, handed_over, free, paused, expired, ended",
        ),
        ("page=2", "no parameter `page`"),
    ] {
        assert!(Wish::read(wrong).unwrap_err().contains(why), "{wrong}");
    }
}
