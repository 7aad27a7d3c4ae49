use proptest::prelude::*;

use super::*;
use crate::decide::cases::{run, setting};

/// Records go by names in the cases: their shard and which one of it they are, `a1`, `a2`.
struct SharedCase {
    buffer: SharedBuffer<String>,
    /// How many records of each shard were accepted.
    accepted: BTreeMap<String, u64>,
    flush: Option<BeginningSharedFlush<String>>,
    bytes: u64,
    now: Moment,
}

/// The shard of a record, and its number there.
fn place_of(name: &str) -> (String, u64) {
    let (shard, number) = name.split_at(1);
    (shard.to_owned(), number.parse::<u64>().unwrap() - 1)
}

fn named((shard, number): &(String, u64)) -> String {
    format!("{shard}{}", number + 1)
}

impl SharedCase {
    fn begin(&mut self, all: Option<FlushCause>) -> String {
        let Some(flush) = self.buffer.begin(self.now, all) else {
            return match self.buffer.wake_at() {
                Some(at) => format!("nothing before {:?}", at.since(Moment::default())),
                None => "nothing".to_owned(),
            };
        };
        let names: Vec<_> = flush.records.iter().map(named).collect();
        let told = format!("flush {} ({:?})", names.join(" "), flush.cause);
        self.flush = Some(flush);
        told
    }

    fn step(&mut self, line: &str) -> Option<String> {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        let names: Vec<&str> = rest.split_whitespace().collect();
        match verb {
            "join" => names
                .iter()
                .for_each(|name| self.buffer.join((*name).to_owned())),
            "leave" => self.buffer.leave(&rest.to_owned()),
            "give-back" => self.buffer.give_back(&rest.to_owned()),
            "at" => self.now = Moment::default() + Duration::from_secs(rest.parse().unwrap()),
            "accept" => {
                let mut refused = Vec::new();
                for name in &names {
                    let (shard, number) = place_of(name);
                    if self.buffer.room(&shard) == 0 {
                        refused.push(*name);
                        continue;
                    }
                    let accepted = self.accepted.entry(shard.clone()).or_default();
                    assert_eq!(*accepted, number, "`{name}` is not the next one");
                    *accepted += 1;
                    self.buffer.accept(&shard, self.bytes, self.now);
                }
                let refused = refused.join(" ");
                return (!refused.is_empty()).then(|| format!("no room for {refused}"));
            }
            "filtered" => {
                let (shard, _) = place_of(rest);
                *self.accepted.entry(shard.clone()).or_default() += 1;
                return Some(format!("{} more done", self.buffer.pass(&shard)));
            }
            "begin" => return Some(self.begin(None)),
            "end" => return Some(self.begin(Some(FlushCause::End))),
            "done" => {
                let mut told = Vec::new();
                for name in names {
                    let (shard, number) = place_of(name);
                    self.buffer.done(&shard, number);
                    told.push(format!("{shard} up to {}", self.buffer.first(&shard)));
                }
                return Some(told.join(", "));
            }
            "flushed" => {
                let flush = self.flush.take().expect("a flush is at work");
                self.buffer.flushed(&flush);
            }
            "drained" => return Some(format!("{}", self.buffer.is_drained(&rest.to_owned()))),
            other => panic!("unknown step `{other}`"),
        }
        None
    }
}

#[test]
fn text_cases_of_shared_buffers() {
    run("shared_buffer.txt", |given| {
        let (bounds, steps) = given.split_first().expect("the bounds come first");
        let mut values = bounds
            .split_whitespace()
            .map(|word| setting(word).1.parse::<u64>().unwrap());
        let mut next = || values.next().expect("records, bytes, age, window, each");
        let bounds = SharedBounds {
            records: next() as usize,
            bytes: next(),
            age: Duration::from_secs(next()),
            window: next() as usize,
        };
        let mut case = SharedCase {
            buffer: SharedBuffer::new(bounds),
            accepted: BTreeMap::new(),
            flush: None,
            bytes: next(),
            now: Moment::default(),
        };
        steps
            .iter()
            .filter_map(|line| case.step(line))
            .collect::<Vec<_>>()
            .join("\n")
    });
}

/// What is done with a member in a history.
#[derive(Clone, Copy, Debug)]
enum Deed {
    Accept,
    Pass,
    GiveBack,
    Leave,
    Flush { fails_at: Option<usize> },
    Wait,
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        20 => Just(Deed::Accept),
        2 => Just(Deed::Pass),
        1 => Just(Deed::GiveBack),
        1 => Just(Deed::Leave),
        6 => Just(Deed::Flush { fails_at: None }),
        1 => (0_usize..4).prop_map(|at| Deed::Flush { fails_at: Some(at) }),
        3 => Just(Deed::Wait),
    ]
}

proptest! {
    /// Whatever happens: a record is flushed once, those of a member in order and without a hole,
    /// the bounds hold, and the prefix of a member ends before its first record that is not done.
    #[test]
    fn no_history_of_members_breaks_an_order_or_passes_a_hole(
        records in 1_usize..6,
        bytes in 1_u64..40,
        window in 1_usize..8,
        deeds in proptest::collection::vec((0_usize..3, deed()), 0..200),
    ) {
        let bounds = SharedBounds { records, bytes, age: Duration::from_secs(2), window };
        let mut buffer = SharedBuffer::new(bounds);
        // Each member: its name now, and for each of its records whether it is done.
        let mut names: [usize; 3] = [0, 1, 2];
        let mut known: BTreeMap<usize, Vec<bool>> = BTreeMap::new();
        let mut flushed: BTreeMap<usize, u64> = BTreeMap::new();
        for name in names {
            buffer.join(name);
            known.insert(name, Vec::new());
        }
        let mut now = Moment::default();
        for (which, deed) in deeds {
            let name = names[which];
            match deed {
                Deed::Accept if buffer.room(&name) > 0 => {
                    buffer.accept(&name, 7, now);
                    known.get_mut(&name).unwrap().push(false);
                }
                Deed::Pass if buffer.room(&name) > 0 => {
                    buffer.pass(&name);
                    known.get_mut(&name).unwrap().push(true);
                }
                Deed::Accept | Deed::Pass => {}
                Deed::GiveBack => buffer.give_back(&name),
                Deed::Leave => {
                    buffer.leave(&name);
                    names[which] += 3;
                    buffer.join(names[which]);
                    known.insert(names[which], Vec::new());
                }
                Deed::Wait => now = now + Duration::from_secs(1),
                Deed::Flush { fails_at } => {
                    let Some(flush) = buffer.begin(now, None) else { continue };
                    prop_assert!(!flush.records.is_empty() && flush.records.len() <= records);
                    prop_assert!(buffer.begin(now, Some(FlushCause::End)).is_none());
                    for (index, (member, number)) in flush.records.iter().enumerate() {
                        prop_assert!(names.contains(member), "a record of one that has left");
                        let next = flushed.entry(*member).or_default();
                        let between = &known[member][usize::try_from(*next).unwrap()..usize::try_from(*number).unwrap()];
                        prop_assert!(*number >= *next && between.iter().all(|done| *done), "a hole");
                        *next = number + 1;
                        if fails_at != Some(index) {
                            buffer.done(member, *number);
                            known.get_mut(member).unwrap()[usize::try_from(*number).unwrap()] = true;
                        }
                    }
                    buffer.flushed(&flush);
                }
            }
            for name in names {
                let records = &known[&name];
                let first = records.iter().position(|done| !done).unwrap_or(records.len());
                prop_assert_eq!(buffer.first(&name), first as u64);
                prop_assert!(records.len() - first <= window);
            }
            let waits: usize = names.iter().map(|name| buffer.gathered(name).0).sum();
            prop_assert_eq!(buffer.wake_at().is_some(), waits > 0);
        }
    }
}
