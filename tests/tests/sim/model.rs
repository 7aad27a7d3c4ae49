use tests::model::{Defect, Explored, ModelBounds, check};

/// So far as an unoptimised build gets in seconds. `sim model` goes further.
const NEAR: ModelBounds = ModelBounds {
    counter: 3,
    requests: 0,
    ..ModelBounds::HAND_OVER
};

#[test]
fn no_state_of_two_workers_is_wrong() {
    let Explored { states, .. } =
        check(&NEAR).unwrap_or_else(|found| panic!("{}\n{}", found.what, found.steps.join("\n")));
    assert!(states > 5_000, "{states} states are not many");
}

#[test]
fn no_state_of_two_processes_under_one_name_is_wrong() {
    let bounds = ModelBounds {
        one_name: true,
        ..NEAR
    };
    check(&bounds).unwrap_or_else(|found| panic!("{}\n{}", found.what, found.steps.join("\n")));
}

#[test]
fn a_defect_leads_to_a_state_that_is_wrong() {
    for defect in [
        Defect::SettledByCounter,
        Defect::EarlyTake,
        Defect::TakeWithoutCondition,
        Defect::NoLastCheckpoint,
    ] {
        assert!(
            check(&NEAR.with(defect)).is_err(),
            "{defect:?} shows nowhere"
        );
    }
}
