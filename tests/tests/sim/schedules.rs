use std::path::Path;

use tests::sim::Schedule;

#[test]
fn each_schedule_is_reached_in_worlds_or_shown_by_a_real_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the workspace");
    for (number, schedule) in (1..).zip(Schedule::ALL) {
        assert_eq!(schedule.name, format!("S{number}"));
        assert!(
            schedule.states().next().is_some() || !schedule.tests.is_empty(),
            "nothing shows {}",
            schedule.name
        );
        for (file, text) in schedule.tests {
            let found = std::fs::read_to_string(root.join(file))
                .unwrap_or_else(|error| panic!("{file}: {error}"));
            assert!(
                found.contains(text),
                "{}: there is no `{text}` in {file}",
                schedule.name
            );
        }
    }
    assert_eq!(Schedule::ALL.len(), 34);
}
