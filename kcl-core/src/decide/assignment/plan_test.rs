use crate::decide::assignment::share;
use crate::decide::cases::run;
use crate::decide::members::notation::MembersCase;

#[test]
fn leases_are_assigned_as_the_cases_say() {
    run("assignment.txt", MembersCase::tell);
}

/// With nothing known of the loads, a fleet that balances by load does exactly the same.
#[test]
fn idle_leases_are_assigned_as_the_cases_say() {
    run("assignment.txt", MembersCase::tell_by_load);
}

#[test]
fn loaded_leases_are_assigned_as_the_cases_say() {
    run("assignment_by_load.txt", MembersCase::tell_by_load);
}

#[test]
fn the_first_leases_of_a_stream_are_shared_by_those_who_live() {
    assert_eq!(
        [
            share(64, 4),
            share(65, 4),
            share(3, 4),
            share(0, 4),
            share(7, 1),
            share(7, 0)
        ],
        [16, 17, 1, 0, 7, 7]
    );
}
