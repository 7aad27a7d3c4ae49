//! A fleet settles soon after whatever happens to it.

use tests::sim::settle;

#[test]
fn a_fleet_settles_within_a_minute_and_no_lease_is_broken() {
    let settling = settle(60, 6, 10_000, |_| {}).unwrap();
    assert_eq!(settling.violations, []);
    let after: Vec<_> = settling.steps.iter().map(|step| step.after).collect();
    assert_eq!(
        after,
        ["the start of all", "a join", "a kill", "a restart of all"]
    );
    for step in &settling.steps {
        assert!(step.seconds <= 60.0, "{step:?}");
        assert_eq!(step.broken, 0, "{step:?}");
    }
    // A tenth of them, at the least, was the killed worker's.
    assert!(settling.steps[2].moved >= 6, "{settling:?}");
}
