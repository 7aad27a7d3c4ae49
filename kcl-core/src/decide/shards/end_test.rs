use super::*;
use crate::decide::cases::run;
use crate::model::{HashKeyRange, Shard};

fn answer(given: &[&str]) -> String {
    let mut lines = given.iter().copied();
    let said = lines.next().unwrap().strip_prefix("said of ").unwrap();
    let (shard, said) = said.split_once(": ").unwrap();
    let mut words = said.split(", ");
    let named = words.next().unwrap();
    let whole = HashKeyRange::WHOLE;
    let children: Vec<ChildShard> = named
        .split_whitespace()
        .filter(|_| named != "nothing")
        .map(|id| ChildShard::new(id, vec![shard.into()], whole))
        .collect();
    let (mut is_lasting, mut is_old) = (false, false);
    for word in words {
        match word {
            "lasting" => is_lasting = true,
            "old" => is_old = true,
            other => panic!("`{other}` says nothing"),
        }
    }
    let graph = ShardGraph::new(lines.map(listed)).unwrap();
    match judge_end(
        &graph,
        &shard.into(),
        EndSaid {
            children: &children,
            is_lasting,
            is_old,
        },
    ) {
        EndVerdict::Ended(children) if children.is_empty() => {
            "ended, nothing known follows".to_owned()
        }
        EndVerdict::Ended(children) => {
            let ids: Vec<_> = children.iter().map(|child| child.id.as_str()).collect();
            format!("ended, followed by {}", ids.join(" "))
        }
        EndVerdict::Open => "open, read on where it was".to_owned(),
        EndVerdict::ReadAgain => "read again".to_owned(),
        EndVerdict::Left => "left, and perhaps not all of it was read".to_owned(),
        EndVerdict::ListAgain => "list again".to_owned(),
    }
}

fn listed(line: &str) -> Shard {
    let mut words = line.split_whitespace();
    let (id, range) = (words.next().unwrap(), words.next().unwrap());
    let (start, end) = range.split_once('-').unwrap();
    let mut shard = Shard::new(id, HashKeyRange::parse(start, end).unwrap());
    while let Some(word) = words.next() {
        match word {
            "closed" => shard = shard.closed(),
            "of" => shard = shard.with_parents(words.by_ref().map(ShardId::from)),
            other => panic!("`{other}` says nothing of a shard"),
        }
    }
    shard
}

#[test]
fn an_end_is_judged_as_the_cases_say() {
    run("end.txt", answer);
}

fn at(millis: u64) -> Moment {
    Moment::from_origin(Duration::from_millis(millis))
}

#[test]
fn the_first_false_end_is_reread_at_once_and_later_ones_paused() {
    let mut refusals = FalseEnds::default();
    let pauses: Vec<u128> = (0..8)
        .map(|_| refusals.refused(at(0)).pause.as_millis())
        .collect();
    assert_eq!(pauses, [0, 250, 500, 1000, 2000, 4000, 5000, 5000]);
    assert_eq!(
        refusals.refused(at(60_000)).times,
        9,
        "after a minute it is not forgotten yet"
    );
    assert_eq!(
        refusals.refused(at(120_001)),
        AfterFalseEnd {
            pause: Duration::ZERO,
            times: 1,
            tell: true
        },
        "a minute later it is a first one"
    );
}

#[test]
fn false_ends_in_a_row_are_told_less_and_less_often() {
    let mut refusals = FalseEnds::default();
    let told: Vec<u32> = (1..=20).filter(|_| refusals.refused(at(0)).tell).collect();
    assert_eq!(told, [1, 2, 4, 8, 16]);
}

#[test]
fn unnamed_ends_are_believed_after_15_s_and_not_before_6() {
    let mut ends = UnnamedEnds::default();
    let (mut now, mut counted) = (0, 0);
    while !ends.are_lasting(at(now)) {
        now += u64::try_from(ends.came(at(now)).as_millis()).unwrap();
        counted += 1;
    }
    assert_eq!((now, counted), (17_750, 8), "the pauses grow to 5 s");

    let mut ends = UnnamedEnds::default();
    for n in 0..6 {
        assert!(
            !ends.are_lasting(at(60_000)),
            "{n} answers, one of them long ago"
        );
        ends.came(at(n));
    }
    assert!(!ends.are_lasting(at(14_999)));
    assert!(ends.are_lasting(at(15_000)));
}

proptest::proptest! {
    #[test]
    fn no_answer_ends_a_shard_that_is_listed_open(is_lasting: bool, is_old: bool, named: bool) {
        let graph = ShardGraph::new([listed("0 0-9"), listed("7 10-19")]).unwrap();
        let children = [ChildShard::new("1", vec!["0".into()], HashKeyRange::WHOLE)];
        let children = if named { &children[..] } else { &[] };
        let judged = judge_end(&graph, &"0".into(), EndSaid { children, is_lasting, is_old });
        proptest::prop_assert_eq!(judged, EndVerdict::Open);
    }
}
