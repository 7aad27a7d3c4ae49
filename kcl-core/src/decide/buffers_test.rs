use proptest::prelude::*;

use super::*;
use crate::decide::cases::{run, setting};

/// Records go by names in the cases: their key and which one of it they are, `a1`, `a2`.
struct BufferCase {
    buffers: RecordBuffers<String>,
    names: Vec<String>,
    bytes: u64,
    now: Moment,
}

fn key_of(name: &str) -> String {
    name.trim_end_matches(|digit: char| digit.is_ascii_digit())
        .to_owned()
}

impl BufferCase {
    fn number(&self, name: &str) -> u64 {
        self.names
            .iter()
            .position(|known| known == name)
            .unwrap_or_else(|| panic!("`{name}` was not accepted")) as u64
    }

    fn named(&self, numbers: &[u64]) -> String {
        let names: Vec<&str> = numbers
            .iter()
            .map(|number| self.names[*number as usize].as_str())
            .collect();
        names.join(" ")
    }

    fn begin(&mut self, all: Option<FlushCause>) -> String {
        let flushes: Vec<_> = std::iter::from_fn(|| self.buffers.begin(self.now, all)).collect();
        if flushes.is_empty() {
            return match self.buffers.wake_at() {
                Some(at) => format!("nothing before {:?}", at.since(Moment::default())),
                None => "nothing".to_owned(),
            };
        }
        let told = flushes
            .iter()
            .map(|flush| format!("flush {} ({:?})", self.named(&flush.numbers), flush.cause));
        told.collect::<Vec<_>>().join("; ")
    }

    fn step(&mut self, line: &str) -> Option<String> {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        let names: Vec<&str> = rest.split_whitespace().collect();
        match verb {
            "accept" => {
                let mut refused = Vec::new();
                for name in &names {
                    if self.buffers.room() > 0 {
                        self.buffers.accept(key_of(name), self.bytes, self.now);
                        self.names.push((*name).to_owned());
                    } else {
                        refused.push(*name);
                    }
                }
                (!refused.is_empty()).then(|| format!("no room for {}", refused.join(" ")))
            }
            "at" => {
                self.now = Moment::default() + Duration::from_secs(rest.parse().unwrap());
                None
            }
            "begin" => Some(self.begin(None)),
            "end" => Some(self.begin(Some(FlushCause::End))),
            "filtered" => {
                self.names.push(rest.to_owned());
                let grown = self.buffers.pass();
                Some(format!("{grown} more done"))
            }
            "done" => {
                let grown: usize = names
                    .iter()
                    .map(|name| self.buffers.done(self.number(name)))
                    .sum();
                let end = usize::try_from(self.buffers.first())
                    .unwrap()
                    .checked_sub(1)
                    .map_or("nothing", |last| &self.names[last]);
                Some(format!("done up to {end}, {grown} more"))
            }
            "flushed" => {
                self.buffers.flushed(&rest.to_owned());
                None
            }
            "given-back" => {
                self.buffers.given_back(&rest.to_owned());
                None
            }
            other => panic!("unknown step `{other}`"),
        }
    }
}

#[test]
fn text_cases_of_buffers() {
    run("buffers.txt", |given| {
        let (bounds, steps) = given.split_first().expect("the bounds come first");
        let mut values = bounds
            .split_whitespace()
            .map(|word| setting(word).1.parse::<u64>().unwrap());
        let mut next = || {
            values
                .next()
                .expect("records, bytes, age, at-work, window, each")
        };
        let bounds = BufferBounds {
            records: next() as usize,
            bytes: next(),
            age: Duration::from_secs(next()),
            at_work: next() as usize,
            window: next() as usize,
        };
        let mut shard = BufferCase {
            buffers: RecordBuffers::new(bounds),
            names: Vec::new(),
            bytes: next(),
            now: Moment::default(),
        };
        steps
            .iter()
            .filter_map(|line| shard.step(line))
            .collect::<Vec<_>>()
            .join("\n")
    });
}

proptest! {
    /// In any order of arrivals and ends: each record is flushed once, those of a key in order, the
    /// bounds hold, and the prefix ends before the first record that is not done.
    #[test]
    fn no_order_of_flushes_loses_a_record_or_passes_a_hole(
        keys in proptest::collection::vec(0_u8..4, 1..60),
        records in 1_usize..6,
        bytes in 1_u64..40,
        at_work in 1_usize..4,
        window in 1_usize..30,
        picks in proptest::collection::vec((0_usize..6, 0_u64..3), 0..200),
    ) {
        let age = Duration::from_secs(2);
        let mut buffers = RecordBuffers::new(BufferBounds { records, bytes, age, at_work, window });
        let (mut accepted, mut now) = (0, Moment::default());
        let mut working: Vec<BeginningFlush<u8>> = Vec::new();
        let mut done = vec![false; keys.len()];
        let mut last_of = [None; 4];
        let rest = std::iter::repeat_n((0, 2), 4 * keys.len());
        for (pick, step) in picks.into_iter().chain(rest) {
            now = now + Duration::from_secs(step);
            if accepted < keys.len() && buffers.room() > 0 {
                prop_assert_eq!(buffers.accept(keys[accepted], 7, now), accepted as u64);
                accepted += 1;
            }
            while let Some(flush) = buffers.begin(now, None) {
                prop_assert!(!flush.numbers.is_empty() && flush.numbers.len() <= records);
                prop_assert!(working.iter().all(|other| other.key != flush.key));
                for number in &flush.numbers {
                    let last = &mut last_of[usize::from(flush.key)];
                    prop_assert!(*last < Some(*number), "a record of a key out of its order");
                    *last = Some(*number);
                    prop_assert_eq!(keys[usize::try_from(*number).unwrap()], flush.key);
                }
                working.push(flush);
                prop_assert!(buffers.at_work() == working.len() && working.len() <= at_work);
            }
            if !working.is_empty() {
                let flush = working.remove(pick % working.len());
                for number in &flush.numbers {
                    done[usize::try_from(*number).unwrap()] = true;
                    buffers.done(*number);
                }
                buffers.flushed(&flush.key);
            }
            let first = done.iter().position(|done| !done).unwrap_or(keys.len());
            prop_assert_eq!(buffers.first(), first as u64);
            prop_assert!(accepted - first <= window);
        }
        prop_assert!(done.iter().all(|done| *done), "all is done in the end");
        prop_assert_eq!(buffers.gathered(), (0, 0));
    }
}
