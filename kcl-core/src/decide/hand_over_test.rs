use crate::decide::cases::run;
use crate::decide::members::notation::MembersCase;

#[test]
fn requests_are_answered_as_the_cases_say() {
    run("hand_over.txt", MembersCase::tell);
}
