use crate::MemoryStream;
use crate::admin::{LeaseState, LeaseView, Level, Life, Moved, WorkerView};
use crate::lease::{MalformedRow, RowKey};
use crate::model::{Checkpoint, Facts, HashKeyRange, LeaseKey, Timestamp};

use super::*;

fn view(lease: Lease) -> LeaseView {
    let state = if lease.checkpoint.is_shard_end() {
        LeaseState::Ended
    } else {
        LeaseState::Held
    };
    LeaseView {
        state,
        holder: lease.actual_owner().cloned(),
        awaited_by: None,
        waits_for: None,
        lag: None,
        moved: Moved::default(),
        stuck: None,
        lease,
    }
}

fn fleet(leases: impl IntoIterator<Item = Lease>) -> FleetView {
    FleetView {
        watched: std::time::Duration::ZERO,
        judged: true,
        workers: Vec::new(),
        leases: leases.into_iter().map(view).collect(),
        malformed: Vec::new(),
        led_by: None,
    }
}

fn whole(shard: &str, checkpoint: Checkpoint) -> Lease {
    let mut lease = Lease::new(LeaseKey::single(shard), checkpoint);
    lease.hash_range = Some(HashKeyRange::WHOLE);
    lease
}

fn position(number: u32) -> Checkpoint {
    Checkpoint::At(number.to_string().parse().unwrap())
}

/// The kinds of what is found, with what each is about.
fn kinds(found: &[Finding]) -> Vec<(&'static str, &str)> {
    found
        .iter()
        .map(|it| (it.kind.name(), it.about.as_str()))
        .collect()
}

fn alone(leases: impl IntoIterator<Item = Lease>) -> Vec<Finding> {
    check(&fleet(leases), None, &[])
}

#[test]
fn a_table_in_order_has_no_findings() {
    let held = whole("0", position(7)).owned_by("a".into(), "t".into());
    assert_eq!(alone([held]), []);
}

#[test]
fn hash_keys_of_no_unfinished_lease_are_a_hole() {
    let mut half = whole("1", position(7));
    half.hash_range = HashKeyRange::new(0, u128::MAX / 2).ok();
    let found = alone([whole("0", Checkpoint::ShardEnd), half.clone()]);
    assert_eq!(kinds(&found), [("hole", "")]);
    assert!(found[0].says.contains("50.00 % to 100.00 %"), "{found:?}");
    half.hash_range = None;
    assert_eq!(alone([half]), [], "an old KCL's rows have no ranges");
    assert_eq!(kinds(&alone([])), [("no_leases", "")]);
}

#[test]
fn rows_that_no_worker_can_have_written_are_impossible() {
    let ok = || whole("0", position(7));
    let change = |change: fn(&mut Lease)| {
        let mut row = ok();
        change(&mut row);
        alone([row])
    };
    let impossible = [("impossible_row", "0")];
    assert_eq!(
        kinds(&change(|row| row.checkpoint_owner = Some("a".into()))),
        impossible
    );
    assert_eq!(
        kinds(&change(|row| row.token = Some("t".into()))),
        impossible
    );
    assert_eq!(
        kinds(&change(|row| {
            row.owner = Some("a".into());
            row.checkpoint_owner = Some("a".into());
        })),
        impossible
    );
    assert_eq!(
        kinds(&change(|row| {
            row.checkpoint = Checkpoint::TrimHorizon;
            row.parents = vec!["0".into()];
        })),
        impossible
    );
}

#[test]
fn a_circle_of_parents_is_impossible_in_each_of_its_rows() {
    let [mut a, mut b] = ["a", "b"].map(|id| whole(id, Checkpoint::TrimHorizon));
    a.parents = vec!["b".into()];
    b.parents = vec!["a".into()];
    let mut below = whole("c", Checkpoint::TrimHorizon);
    below.parents = vec!["a".into()];
    assert_eq!(
        kinds(&alone([a, b, below])),
        [("impossible_row", "a"), ("impossible_row", "b")]
    );
}

#[test]
fn a_child_that_was_read_before_its_parent_is_impossible() {
    let mut child = whole("1", position(9));
    child.parents = vec!["0".into()];
    let parent = || whole("0", position(3));
    assert_eq!(
        kinds(&alone([parent(), child.clone()])),
        [("impossible_row", "1")]
    );
    let ended = whole("0", Checkpoint::ShardEnd);
    assert_eq!(alone([ended, child.clone()]), []);
    child.facts.began_at = Some(Timestamp::from_millis(1));
    assert_eq!(alone([parent(), child]), [], "it began at a time");
}

#[test]
fn a_malformed_row_and_leases_of_several_streams_are_found() {
    let mut spoilt = fleet([whole("0", position(7))]);
    spoilt.malformed.push(MalformedRow::new(
        RowKey::Lease(LeaseKey::single("1")),
        "checkpoint",
        Some("x"),
        "a number",
    ));
    assert_eq!(kinds(&check(&spoilt, None, &[])), [("malformed_row", "1")]);
    let [mut one, mut other] = ["0", "1"].map(|id| whole(id, position(7)));
    let facts = |at| Facts {
        stream_arn: Some("arn".into()),
        stream_created_at: Some(Timestamp::from_millis(at)),
        ..Facts::default()
    };
    (one.facts, other.facts) = (facts(1), facts(2));
    assert_eq!(
        kinds(&alone([one.clone(), other.clone()])),
        [("wrong_stream", "")]
    );
    other.facts = one.facts.clone();
    other.key.stream = Some("1:orders:1".into());
    assert_eq!(kinds(&alone([one, other])), [("wrong_stream", "")]);
}

#[test]
fn dead_workers_and_an_uneven_share_are_notes() {
    let worker = |name: &str, life, leases| WorkerView {
        worker: name.into(),
        life,
        has_row: true,
        failover: None,
        silent: std::time::Duration::ZERO,
        dead_after: std::time::Duration::ZERO,
        counter: None,
        draining: false,
        heartbeats: false,
        audits: None,
        behind: None,
        leases,
        awaited: 0,
    };
    let mut fleet = fleet([whole("0", position(7))]);
    fleet.workers = vec![
        worker("a", Life::Alive, 3),
        worker("b", Life::Alive, 1),
        worker("c", Life::Dead, 0),
    ];
    let found = check(&fleet, None, &[]);
    assert_eq!(kinds(&found), [("dead_worker", "c"), ("unbalanced", "a")]);
    assert!(found.iter().all(|it| it.level == Level::Note));
}

/// The leases of a stream beside its shards: what is missing, what has left, what is finished.
#[tokio::test]
async fn leases_are_compared_with_the_shards_of_the_stream() {
    let stream = MemoryStream::new("orders", 2);
    let view = StreamView::read(&stream).await.unwrap();
    let shards = stream.shards();
    let lease = |at: usize, checkpoint| {
        let mut lease = whole(shards[at].id.as_str(), checkpoint);
        lease.hash_range = Some(shards[at].hash_range);
        lease
    };
    let both = || [lease(0, position(1)), lease(1, position(1))];
    assert_eq!(check(&fleet(both()), Some(&view), &[]), []);
    let missing = check(&fleet([lease(0, position(1))]), Some(&view), &[]);
    let other = shards[1].id.as_str();
    assert_eq!(kinds(&missing), [("hole", other), ("missing_lease", other)]);
    let gone = whole("shardId-000000000000-gone", position(1));
    let found = check(&fleet(both().into_iter().chain([gone])), Some(&view), &[]);
    assert_eq!(kinds(&found), [("orphan", "shardId-000000000000-gone")]);
}
