use crate::decide::cases::run;
use crate::decide::members::notation::MembersCase;

#[test]
fn who_lives_is_judged_as_the_cases_say() {
    run("members.txt", MembersCase::tell);
}
