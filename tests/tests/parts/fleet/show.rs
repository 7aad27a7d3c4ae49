//! What runs where nobody says what to do.

use tests::fleet::{SOME_OF_EVERYTHING, Script};

#[test]
fn the_script_that_runs_by_itself_can_be_read() {
    assert!(
        SOME_OF_EVERYTHING
            .parse::<Script>()
            .is_ok_and(|script| script.0.len() >= 6)
    );
}
