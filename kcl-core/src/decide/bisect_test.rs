use proptest::prelude::*;

use super::*;
use crate::decide::cases::{run, setting};

fn told(span: Option<Range<usize>>) -> String {
    match span {
        Some(span) if span.len() == 1 => format!("{} is next", span.start),
        Some(span) => format!("{} to {} are next", span.start, span.end - 1),
        None => "all is done".to_owned(),
    }
}

#[test]
fn text_cases_of_bisecting() {
    run("bisect.txt", |given| {
        let (settings, steps) = given
            .split_first()
            .expect("the number and the attempts first");
        let mut values = settings.split_whitespace().map(|word| setting(word).1);
        let mut records = Bisection::new(values.next().unwrap().parse().unwrap());
        let most = values.next().unwrap().parse().ok();
        let step = |line: &&str| match line.split_whitespace().collect::<Vec<_>>()[..] {
            ["works"] => {
                let end = records.next().unwrap().end;
                records.done_up_to(end);
                told(records.next())
            }
            ["fails", ref rest @ ..] => {
                let at = rest.last().map(|at| at.parse().unwrap());
                match records.failed(at, most) {
                    AfterSplit::Again(failures) => {
                        format!("{}, after {failures} in a row", told(records.next()))
                    }
                    AfterSplit::GiveUp(record, attempts) => {
                        records.done_up_to(record + 1);
                        format!(
                            "{record} is given up after {attempts}, {}",
                            told(records.next())
                        )
                    }
                }
            }
            _ => panic!("unknown step `{line}`"),
        };
        steps.iter().map(step).collect::<Vec<_>>().join("\n")
    });
}

proptest! {
    /// Whatever records are poison: they are given up alone, after their attempts, and all others
    /// are done, in order, with no more calls than halving needs.
    #[test]
    fn poison_is_alone_and_all_others_are_done(
        poison in proptest::collection::vec(any::<bool>(), 1..200),
        named in any::<bool>(),
        most in 1_u32..4,
    ) {
        let mut records = Bisection::new(poison.len());
        let (mut done, mut given_up, mut calls) = (Vec::new(), Vec::new(), 0);
        while let Some(span) = records.next() {
            calls += 1;
            match span.clone().find(|index| poison[*index]) {
                None => {
                    done.extend(span.clone());
                    records.done_up_to(span.end);
                }
                Some(bad) => {
                    let at = named.then_some(bad);
                    if named {
                        done.extend(span.start..bad);
                    }
                    if let AfterSplit::GiveUp(record, attempts) = records.failed(at, Some(most)) {
                        prop_assert_eq!(attempts, most);
                        given_up.push(record);
                        records.done_up_to(record + 1);
                    }
                }
            }
        }
        let of = |bad: bool| (0..poison.len()).filter(|index| poison[*index] == bad).collect::<Vec<_>>();
        prop_assert_eq!(&done, &of(false));
        prop_assert_eq!(&given_up, &of(true));
        let depth = poison.len().ilog2() as usize + 2;
        prop_assert!(calls <= 1 + (depth * 2 + most as usize) * (given_up.len() + 1), "{} calls", calls);
    }
}
