//! What a soak is made of: scripts drawn from seeds.

use std::collections::BTreeSet;
use std::time::Duration;

use clap::ValueEnum;
use tests::fleet::{Action, Harm, HarmedService, Plan, Whom};

fn plan(seed: u64) -> Plan {
    let (span, failover) = (Duration::from_secs(2400), Duration::from_secs(3));
    Plan {
        seed,
        span,
        workers: 5,
        shards: 8,
        failover,
        harms: Harm::value_variants().to_vec(),
        table: true,
    }
}

#[test]
fn the_same_seed_gives_the_same_script_and_another_one_another() {
    let (one, again) = (plan(1).script(), plan(1).script());
    assert_eq!(one, again);
    assert_ne!(one, plan(2).script());
    assert_eq!(one.to_string().parse(), Ok(one));
}

#[test]
fn forty_minutes_have_1000_kills_and_300_freezes() {
    for seed in 0..20 {
        let script = plan(seed).script();
        let count =
            |is: fn(&Action) -> bool| script.0.iter().filter(|(_, action)| is(action)).count();
        assert!(
            count(|action| matches!(action, Action::Kill(_) | Action::Restart(_))) >= 1000,
            "seed {seed}"
        );
        assert!(
            count(|action| matches!(action, Action::Freeze(..))) >= 300,
            "seed {seed}"
        );
        assert!(
            count(|action| matches!(action, Action::Stop(_))) > 50
                && count(|action| *action == Action::Split) > 20
        );
        let harms = script.0.iter().filter_map(|(_, action)| match action {
            Action::Harm(_, trouble) => {
                Some((trouble.harm, trouble.service == HarmedService::Table))
            }
            _ => None,
        });
        assert_eq!(
            harms.collect::<BTreeSet<_>>().len(),
            13,
            "each on each way, without an odd answer of the table"
        );
    }
}

#[test]
fn chosen_members_exist_and_workers_and_shards_never_run_out() {
    for seed in 0..20 {
        let (mut alive, mut names, mut open) = ((1..=5).collect::<BTreeSet<usize>>(), 5, 8);
        for (time, action) in plan(seed).script().0 {
            match action {
                Action::Kill(Whom::Number(number)) | Action::Stop(Whom::Number(number)) => {
                    assert!(alive.remove(&number));
                }
                Action::Restart(Whom::Number(number))
                | Action::Freeze(Whom::Number(number), _)
                | Action::Harm(Whom::Number(number), _) => {
                    assert!(alive.contains(&number), "{time:?}: {action}");
                }
                Action::Add => {
                    names += 1;
                    alive.insert(names);
                }
                Action::Split => open += 1,
                Action::Merge => open -= 1,
                _ => panic!("{action} means nobody"),
            }
            assert!(
                (2..=7).contains(&alive.len()) && (2..=32).contains(&open),
                "{time:?}: {alive:?}, {open} open"
            );
        }
    }
}
