use proptest::prelude::*;

use super::*;
use crate::decide::cases::{run, setting};

/// Records go by names in the cases: their key and which one of it they are, `a1`, `a2`, or `-1`,
/// `-2` in lanes of their own.
struct LaneCase {
    lanes: RecordLanes<String>,
    names: Vec<String>,
}

impl LaneCase {
    fn number(&self, name: &str) -> u64 {
        self.names
            .iter()
            .position(|known| known == name)
            .unwrap_or_else(|| panic!("`{name}` was not accepted")) as u64
    }

    fn step(&mut self, line: &str) -> Option<String> {
        let (verb, names) = if line == "wants more?" {
            (line, "")
        } else {
            line.split_once(' ').unwrap_or((line, ""))
        };
        let names: Vec<&str> = names.split_whitespace().collect();
        match verb {
            "accept" => {
                let (mut taken, mut refused) = (0, Vec::new());
                for name in &names {
                    if self.lanes.has_room() {
                        let key = name.trim_end_matches(|digit: char| digit.is_ascii_digit());
                        self.lanes.accept((key != "-").then(|| key.to_owned()));
                        self.names.push((*name).to_owned());
                        taken += 1;
                    } else {
                        refused.push(*name);
                    }
                }
                (!refused.is_empty())
                    .then(|| format!("accepted {taken}, no room for {}", refused.join(" ")))
            }
            "wants more?" => Some(
                if self.lanes.wants_more() {
                    "wants more"
                } else {
                    "wants no more"
                }
                .to_owned(),
            ),
            "begin" => {
                let begun: Vec<String> = std::iter::from_fn(|| self.lanes.begin())
                    .map(|number| self.names[number as usize].clone())
                    .collect();
                Some(if begun.is_empty() {
                    "nothing begins".to_owned()
                } else {
                    format!("{} begin", begun.join(" "))
                })
            }
            "done" => {
                let grown: usize = names
                    .iter()
                    .map(|name| self.lanes.done(self.number(name)))
                    .sum();
                let first = usize::try_from(self.lanes.first()).unwrap();
                let end = first
                    .checked_sub(1)
                    .map_or("nothing", |last| &self.names[last]);
                Some(format!("done up to {end}, {grown} more"))
            }
            "filtered" => {
                self.names
                    .extend(names.iter().map(|name| (*name).to_owned()));
                let grown: usize = names.iter().map(|_| self.lanes.pass()).sum();
                Some(format!("{grown} more done"))
            }
            "failed" => {
                names
                    .iter()
                    .for_each(|name| self.lanes.failed(self.number(name)));
                None
            }
            "again" => {
                names
                    .iter()
                    .for_each(|name| self.lanes.again(self.number(name)));
                None
            }
            other => panic!("unknown step `{other}`"),
        }
    }
}

#[test]
fn text_cases_of_lanes() {
    run("lanes.txt", |given| {
        let (bounds, steps) = given.split_first().expect("the bounds come first");
        let mut values = bounds
            .split_whitespace()
            .map(|word| setting(word).1.parse().unwrap());
        let bounds = LaneBounds {
            at_work: values.next().unwrap(),
            window: values.next().unwrap(),
        };
        let mut shard = LaneCase {
            lanes: RecordLanes::new(bounds),
            names: Vec::new(),
        };
        steps
            .iter()
            .filter_map(|line| shard.step(line))
            .collect::<Vec<_>>()
            .join("\n")
    });
}

proptest! {
    /// In any order of finishes and failures: each record begins in the order of its lane, the
    /// bounds hold, and the prefix ends before the first record that is not done.
    #[test]
    fn no_order_of_finishes_breaks_a_lane_or_passes_a_hole(
        keys in proptest::collection::vec(0_u8..5, 1..60),
        at_work in 1_usize..6,
        window in 1_usize..20,
        picks in proptest::collection::vec((0_usize..6, 0_u8..4), 0..400),
    ) {
        let mut lanes = RecordLanes::new(LaneBounds { at_work, window });
        let mut done = vec![false; keys.len()];
        let (mut accepted, mut working, mut failed) = (0, Vec::new(), Vec::new());
        // Key 0 stands for records in lanes of their own.
        let of = |index: usize| (keys[index] > 0).then_some(keys[index]);
        // What is drawn, and then whatever is left, so that everything ends.
        let rest = std::iter::repeat_n((0, 0), 4 * keys.len());
        for (pick, kind) in picks.into_iter().chain(rest) {
            while accepted < keys.len() && lanes.has_room() {
                prop_assert_eq!(lanes.accept(of(accepted)), accepted as u64);
                accepted += 1;
            }
            while let Some(number) = lanes.begin() {
                let index = usize::try_from(number).unwrap();
                let before = (0..index).filter(|before| of(*before).is_some() && of(*before) == of(index));
                prop_assert!(before.clone().all(|before| done[before]), "{index} began before \
                    what precedes it in its lane");
                prop_assert!(!done[index] && !working.contains(&number));
                working.push(number);
            }
            prop_assert!(lanes.at_work() == working.len() && working.len() <= at_work);
            match (kind, working.len()) {
                (_, 0) | (3, _) => failed.drain(..).for_each(|number| lanes.again(number)),
                (2, count) => {
                    let number = working.remove(pick % count);
                    lanes.failed(number);
                    failed.push(number);
                }
                (_, count) => {
                    let number = working.remove(pick % count);
                    done[usize::try_from(number).unwrap()] = true;
                    lanes.done(number);
                }
            }
            let first = done.iter().position(|done| !done).unwrap_or(keys.len());
            prop_assert_eq!(lanes.first(), first as u64);
            prop_assert!(accepted - first <= window);
        }
        prop_assert!(done.iter().all(|done| *done), "all is done in the end");
    }
}
