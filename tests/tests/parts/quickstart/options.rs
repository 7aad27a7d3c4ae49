//! The command line of the quickstart, and the folders that it works in.

use std::fs;
use std::path::Path;

use clap::CommandFactory;
use examples::quickstart::{QuickstartOptions, State, StateError};

#[test]
fn the_command_line_is_consistent() {
    QuickstartOptions::command().debug_assert();
}

#[test]
fn each_folder_has_its_own_state_and_leaves_others_alone() {
    let own = |folder| State::default_path(Path::new(folder));
    assert_ne!(own("/a/notes"), own("/b/notes"));
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("mine"), "x").unwrap();
    let state = Some(folder.path().to_owned());
    let options = QuickstartOptions {
        folder: Some(folder.path().to_owned()),
        replay: false,
        fan_out: false,
        state,
    };
    assert!(matches!(State::find(&options), Err(StateError::Foreign(_))));
    let options = QuickstartOptions {
        folder: Some(folder.path().join("mine")),
        ..options
    };
    assert!(matches!(
        State::find(&options),
        Err(StateError::NotFolder(_))
    ));
}
