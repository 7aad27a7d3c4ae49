//! The command line of the fleet.

use clap::{CommandFactory, Parser};
use tests::fleet::{Options, Part};

#[test]
fn the_command_line_is_consistent() {
    Options::command().debug_assert();
}

#[test]
fn parts_are_chosen_and_all_of_them_without_a_choice() {
    let parts = |line: &str| {
        Options::try_parse_from(line.split(' '))
            .map(|options| options.measure)
            .ok()
    };
    assert_eq!(parts("fleet"), Some(None));
    assert_eq!(
        parts("fleet --measure").flatten().map(|parts| parts.len()),
        Some(5)
    );
    assert_eq!(
        parts("fleet --measure stop,cost --runs 3"),
        Some(Some(vec![Part::Stop, Part::Cost]))
    );
    assert_eq!(parts("fleet --measure everything"), None);
    assert_eq!(
        parts("fleet --lease-table dynamo:x --dynamo-endpoint http://localhost:8000"),
        Some(None)
    );
    assert_eq!(parts("fleet --lease-table dynamodb:x"), None);
    assert_eq!(parts("fleet --dynamo-endpoint http://localhost:8000"), None);
    assert_eq!(
        parts("fleet --soak 7 --for 30m --off hold,late"),
        Some(None)
    );
    for wrong in [
        "--soak 7",
        "--for 1m --off hold",
        "--soak 7 --for 1m --off rain",
        "--soak 7 --for 1m --script 1s_add",
    ] {
        assert_eq!(parts(&format!("fleet {wrong}")), None, "{wrong}");
    }
}
