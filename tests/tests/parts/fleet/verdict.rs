//! The verdict over histories that are written down here.

use std::collections::BTreeMap;

use kcl_core::model::{ShardId, Timestamp};
use tests::fleet::{
    Cause, Deed, DeliveryHistory, PutLog, ShardParents, TraceLine, TracedCall, Verdict, What,
};

fn time(at: i64) -> Timestamp {
    Timestamp::from_millis(at)
}

/// A history out of words: `PROCESS@TIME SHARD CALL`, where a call is `begin`, a number (a record),
/// `asked`, `lost` or `ended`.
fn history(text: &str) -> DeliveryHistory {
    let mut history = DeliveryHistory::default();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let words: Vec<&str> = line.split(' ').collect();
        let (member, at) = words[0].split_once('@').unwrap();
        let call = match words[2] {
            "begin" => TracedCall::Initialize,
            "asked" => TracedCall::ShutdownRequested,
            "lost" => TracedCall::LeaseLost,
            "ended" => TracedCall::ShardEnded,
            number => TracedCall::Record(number.parse().unwrap()),
        };
        let line = TraceLine {
            at: time(at.parse().unwrap()),
            shard: words[1].into(),
            call,
        };
        history.take_in(member.parse().unwrap(), line);
    }
    history
}

fn put(shards: &[(&str, std::ops::RangeInclusive<u32>)]) -> PutLog {
    let numbers = |range: &std::ops::RangeInclusive<u32>| {
        range
            .clone()
            .map(|n| n.to_string().parse().unwrap())
            .collect()
    };
    shards
        .iter()
        .map(|(shard, range)| (ShardId::from(*shard), numbers(range)))
        .collect()
}

fn judge(text: &str, deeds: &[Deed]) -> Verdict {
    Verdict::of(
        &history(text),
        &put(&[("s", 1..=4)]),
        &ShardParents::new(),
        deeds,
    )
}

fn deed(at: i64, member: usize, what: What) -> Deed {
    Deed {
        at: time(at),
        member,
        what,
        shards: Vec::new(),
    }
}

#[test]
fn all_once_and_in_order_is_right_also_over_a_hand_over() {
    let verdict = judge(
        "0@1 s begin\n0@2 s 1\n0@2 s 2\n0@3 s asked\n0@4 s lost\n1@4 s begin\n1@5 s 3\n1@6 s 4",
        &[],
    );
    assert!(verdict.is_right(), "{verdict:?}");
    assert_eq!((verdict.put, verdict.given), (4, 4));
}

#[test]
fn missing_records_are_lost_and_early_ones_are_out_of_order() {
    let verdict = judge("0@1 s begin\n0@2 s 1\n0@3 s 3\n0@4 s 2", &[]);
    assert_eq!(
        (verdict.lost, verdict.out_of_order),
        (1, 1),
        "3 came before 2, and 4 never: {verdict:?}"
    );
    let verdict = judge("", &[]);
    assert_eq!((verdict.lost, verdict.given), (4, 0));
    let verdict = judge("0@1 s begin\n0@2 s 1\n0@2 s 9\n0@2 t begin\n0@2 t 1", &[]);
    assert_eq!((verdict.lost, verdict.unknown), (3, 2), "{verdict:?}");
}

#[test]
fn only_a_kill_of_its_holder_excuses_a_duplicate() {
    let text = "0@1 s begin\n0@2 s 1\n0@2 s 2\n1@9 s begin\n1@9 s 2\n1@9 s 3\n1@9 s 4";
    let killed = judge(text, &[deed(5, 0, What::Killed)]);
    assert_eq!(killed.duplicates, BTreeMap::from([(Cause::Killed(0), 1)]));
    assert!(killed.is_right());
    for deeds in [
        &[] as &[Deed],
        &[deed(5, 1, What::Killed)],
        &[deed(5, 0, What::Stopped)],
    ] {
        let verdict = judge(text, deeds);
        assert_eq!(verdict.unexplained(), 1, "{deeds:?}");
        assert!(!verdict.is_right());
    }
    // It had given the shard up before it was killed.
    let text = "0@1 s begin\n0@2 s 1\n0@2 s 2\n0@3 s lost\n1@3 s begin\n1@4 s 2\n1@9 s 3\n1@9 s 4";
    assert_eq!(judge(text, &[deed(5, 0, What::Killed)]).unexplained(), 1);
    // The same process twice.
    let text = "0@1 s begin\n0@2 s 1\n0@2 s 1\n0@2 s 2\n0@2 s 3\n0@2 s 4";
    assert_eq!(judge(text, &[deed(5, 0, What::Killed)]).unexplained(), 1);
}

#[test]
fn a_freeze_excuses_the_next_owners_repeats_and_work_in_flight() {
    let text = "0@1 s begin\n0@2 s 1\n1@50 s begin\n1@51 s 1\n1@52 s 2\n0@99 s 2\n0@99 s \
        lost\n1@99 s 3\n1@99 s 4";
    let deeds = [deed(5, 0, What::Frozen), deed(90, 0, What::Woken)];
    let verdict = judge(text, &deeds);
    assert_eq!(verdict.duplicates, BTreeMap::from([(Cause::Frozen(0), 2)]));
    assert!(verdict.is_right(), "{verdict:?}");
    assert_eq!(judge(text, &[deed(5, 2, What::Frozen)]).unexplained(), 2);
}

#[test]
fn a_child_comes_after_all_of_its_parents() {
    let parents = ShardParents::from([("c".into(), vec!["a".into(), "b".into()])]);
    let put = put(&[("a", 1..=2), ("b", 1..=1), ("c", 1..=1)]);
    let right = "0@1 a begin\n0@2 a 1\n0@3 a 2\n1@1 b begin\n1@4 b 1\n1@4 c begin\n1@5 c 1\n2@9 a \
        begin\n2@9 a 2";
    let deeds = [deed(8, 0, What::Killed)];
    let verdict = Verdict::of(&history(right), &put, &parents, &deeds);
    assert!(
        verdict.is_right(),
        "the parent's last record came again, later: {verdict:?}"
    );
    let early = "0@1 a begin\n0@2 a 1\n0@6 a 2\n1@1 b begin\n1@4 b 1\n1@4 c begin\n1@5 c 1";
    let verdict = Verdict::of(&history(early), &put, &parents, &[]);
    assert_eq!(verdict.early_children, 1, "{verdict:?}");
    assert!(!verdict.is_right());
}
