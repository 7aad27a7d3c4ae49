use crate::sim::mutant::Mutant;

use super::states::State;

/// A way in which a protocol of leases can fail, and where this one is shown not to.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    /// What it is called in the cases and the tests.
    pub name: &'static str,
    /// What would happen.
    pub what: &'static str,
    states: &'static [State],
    /// Defects that the harness builds in which let it happen.
    pub mutants: &'static [Mutant],
    /// Tests of it: a file, and what stands there.
    pub tests: &'static [(&'static str, &'static str)],
}

impl Schedule {
    /// All of them.
    pub const ALL: &'static [Self] = SCHEDULES;

    /// The interesting states that worlds reach it in.
    pub fn states(&self) -> impl Iterator<Item = &'static str> {
        self.states.iter().map(|state| state.text())
    }
}

#[rustfmt::skip]
const SCHEDULES: &[Schedule] = &[
    Schedule {
        name: "S1",
        what: "a late renewal is taken for the write that followed it",
        states: &[State::OvertakenByOwnWrite, State::SettledByConflict],
        mutants: &[Mutant::SettledByCounter],
        tests: &[
            ("kcl-core/src/decide/settle.rs", "fn a_late_renewal_is_not_taken_for_the_checkpoint_that_followed_it"),
        ],
    },
    Schedule {
        name: "S2",
        what: "a passing on lands after a read that did not show it",
        states: &[State::PassedOn, State::LateWriteLanded],
        mutants: &[],
        tests: &[
            ("kcl-core/tests/worker/hand_over.rs", "fn a_lease_that_was_passed_on_though_the_answer_was_lost_is_given_up_in_good_order"),
            ("tests/src/model/state.rs", "ResumeAfterPassOn"),
        ],
    },
    Schedule {
        name: "S3",
        what: "an owner's deadline counts from a retry",
        states: &[],
        mutants: &[Mutant::DeadlineFromAnswer],
        tests: &[
            ("kcl-core/src/tenancy/writer_test.rs", "fn validity_counts_from_the_write_whose_landing_others_may_have_seen"),
        ],
    },
    Schedule {
        name: "S4",
        what: "a take lands when nobody waits for it",
        states: &[State::LateTakeLanded, State::GivenBack],
        mutants: &[],
        tests: &[
            ("kcl-core/src/decide/testdata/assignment.txt", "# S4"),
        ],
    },
    Schedule {
        name: "S5",
        what: "a take or a request of an earlier tenancy lands",
        states: &[State::LateWriteRefused, State::TakeLost, State::RequestLost],
        mutants: &[Mutant::TakeWithoutCondition],
        tests: &[],
    },
    Schedule {
        name: "S6",
        what: "a process takes its namesake's lease for its own",
        states: &[State::TakenFromTwin, State::TwinFound],
        mutants: &[Mutant::OwnById],
        tests: &[
            ("kcl-core/src/decide/testdata/assignment.txt", "# S6"),
        ],
    },
    Schedule {
        name: "S7",
        what: "two live processes have one name",
        states: &[State::TwinFound],
        mutants: &[],
        tests: &[
            ("kcl-core/tests/worker/ownership.rs", "fn of_two_live_workers_of_one_name_the_later_one_stops_and_the_earlier_one_goes_on"),
        ],
    },
    Schedule {
        name: "S8",
        what: "a quick restart against a release at the stop",
        states: &[State::TakenFromTwin, State::WorkerLeft],
        mutants: &[],
        tests: &[
            ("kcl-core/tests/worker/fleet.rs", "fn a_worker_that_keeps_its_leases_at_its_stop_has_them_again_at_once"),
        ],
    },
    Schedule {
        name: "S9",
        what: "an owner that only checkpoints never hears a request",
        states: &[State::Requested, State::PassedOn],
        mutants: &[Mutant::DeafOwner],
        tests: &[
            ("kcl-core/src/tenancy/writer_test.rs", "fn a_lease_that_is_never_renewed_as_it_is_checkpointed_all_the_time_hears_who_asks_for_it"),
        ],
    },
    Schedule {
        name: "S10",
        what: "a late passing on fits a second request",
        states: &[State::PassedOn],
        mutants: &[],
        tests: &[
            ("tests/src/model/state.rs", "PassOnWithoutCounter"),
        ],
    },
    Schedule {
        name: "S11",
        what: "a worker begins a lease on sight of its name",
        states: &[State::Claimed],
        mutants: &[Mutant::StartOnSight],
        tests: &[
            ("kcl-core/src/decide/testdata/assignment.txt", "# S11"),
        ],
    },
    Schedule {
        name: "S12",
        what: "who asked for a lease dies, and is believed to live",
        states: &[State::PassedOnTaken, State::Refused],
        mutants: &[],
        tests: &[
            ("kcl-core/tests/worker/hand_over.rs", "fn the_request_of_a_worker_that_dies_before_its_lease_is_drained_is_refused"),
        ],
    },
    Schedule {
        name: "S13",
        what: "an owner dies in a hand-over",
        states: &[State::TakenInHandOver],
        mutants: &[],
        tests: &[
            ("kcl-core/tests/worker/hand_over.rs", "fn what_a_worker_that_dies_was_handing_over_is_read_again_within_the_failover_time_and_a_second"),
        ],
    },
    Schedule {
        name: "S14",
        what: "the owner and who asked die",
        states: &[State::TakenInHandOver, State::TakenFromCrashed],
        mutants: &[],
        tests: &[
            ("kcl-core/tests/worker/hand_over.rs", "fn when_the_owner_and_who_asked_die_a_third_worker_reads_on_within_the_failover_time_and_a_second"),
        ],
    },
    Schedule {
        name: "S15",
        what: "who asked for a lease stops with the request open",
        states: &[State::Withdrawn],
        mutants: &[],
        tests: &[
            ("kcl-core/tests/worker/hand_over.rs", "fn an_owner_whose_batch_outlasts_the_request_for_its_lease_reads_on"),
        ],
    },
    Schedule {
        name: "S16",
        what: "a withdrawal meets the owner's answer",
        states: &[State::Withdrawn, State::RequestLost],
        mutants: &[],
        tests: &[
            ("kcl-core/src/decide/testdata/assignment.txt", "# S16"),
        ],
    },
    Schedule {
        name: "S17",
        what: "the handler of a lease that is asked for does not return",
        states: &[State::Refused],
        mutants: &[],
        tests: &[
            ("kcl-core/tests/worker/fleet.rs", "fn a_handler_that_does_not_return_refuses_the_hand_over_and_keeps_its_shard"),
        ],
    },
    Schedule {
        name: "S18",
        what: "two workers ask for one lease",
        states: &[State::RequestLost],
        mutants: &[],
        tests: &[
            ("kcl-core/src/decide/testdata/assignment.txt", "# S18"),
        ],
    },
    Schedule {
        name: "S19",
        what: "a shard ends while its lease is asked for",
        states: &[State::EndedWhileAsked],
        mutants: &[],
        tests: &[],
    },
    Schedule {
        name: "S20",
        what: "the last checkpoint is lost between two writes",
        states: &[State::ReleasedWithCheckpoint, State::PassedOn],
        mutants: &[],
        tests: &[
            ("tests/src/model/state.rs", "NoLastCheckpoint"),
        ],
    },
    Schedule {
        name: "S21",
        what: "who leaves is counted as empty",
        states: &[State::FreedThenTaken, State::WorkerLeft],
        mutants: &[],
        tests: &[
            ("kcl-core/tests/worker/fleet.rs", "fn what_a_worker_frees_at_its_stop_is_read_at_once_and_without_a_duplicate"),
        ],
    },
    Schedule {
        name: "S22",
        what: "leases are reserved for a worker that has no room",
        states: &[State::LeftForWantOfRoom, State::TakenForTheFull],
        mutants: &[Mutant::FreeLooksTaken],
        tests: &[
            ("kcl-core/src/decide/testdata/assignment.txt", "# S22"),
            ("kcl-core/tests/worker/fleet.rs", "fn a_worker_at_its_cap_leaves_shards_unread_says_so_and_others_take_them"),
        ],
    },
    Schedule {
        name: "S23",
        what: "a dead worker's shards wait for a look",
        states: &[State::TakenFromCrashed],
        mutants: &[],
        tests: &[
            ("kcl-core/tests/worker/fleet.rs", "fn the_shards_of_a_dead_worker_are_read_again_within_the_failover_time_and_a_second"),
        ],
    },
    Schedule {
        name: "S24",
        what: "an observer stood still, and the whole fleet looks dead",
        states: &[State::FrozenOverDeadline, State::TakenFromFrozen],
        mutants: &[Mutant::LivingLooksFree],
        tests: &[
            ("kcl-core/src/decide/testdata/assignment.txt", "# S24"),
            ("kcl-core/src/decide/testdata/members.txt", "# S24"),
        ],
    },
    Schedule {
        name: "S25",
        what: "replicas show the past now and then",
        states: &[State::TakenFromCrashed],
        mutants: &[],
        tests: &[
            ("kcl-core/src/decide/testdata/members.txt", "# S25"),
        ],
    },
    Schedule {
        name: "S26",
        what: "workers differ in their failover times",
        states: &[State::OutlivedShorter],
        mutants: &[],
        tests: &[
            ("kcl-core/src/decide/testdata/members.txt", "# S26"),
            ("kcl-core/src/decide/assignment/fleet_test.rs", "fn workers_with_different_failover_times_take_nothing_from_each_other"),
        ],
    },
    Schedule {
        name: "S27",
        what: "a clock stands still with its machine",
        states: &[State::FrozenOverDeadline],
        mutants: &[Mutant::ClockStopsWithProcess],
        tests: &[
            ("kcl-core/src/runtime.rs", "Boottime"),
        ],
    },
    Schedule {
        name: "S28",
        what: "a shard that is held up by others loses its lease",
        states: &[State::ReleasedByBudget],
        mutants: &[],
        tests: &[
            ("kcl-core/tests/worker/renewals.rs", "fn a_shard_that_waits_for_its_parent_for_longer_than_a_handler_may_take_keeps_its_lease"),
            ("kcl-core/tests/worker/budget.rs", "fn a_handler_that_is_stopped_stops_no_other_shard"),
        ],
    },
    Schedule {
        name: "S29",
        what: "a worker's row is written over one that is gone, or judged by its clock",
        states: &[State::WorkerRowRefused],
        mutants: &[],
        tests: &[
            ("kcl-core/src/decide/testdata/members.txt", "a stale reading of a worker's row is no sign of life"),
            ("kcl-core/tests/worker/renewals.rs", "fn lost_late_and_dropped_writes_lose_no_record_and_take_no_checkpoint_back"),
        ],
    },
    Schedule {
        name: "S30",
        what: "a write makes a row that was not there",
        states: &[State::LateWriteRefused, State::RowDeleted],
        mutants: &[],
        tests: &[
            ("tests/tests/sim/tables.rs", "fn the_tables_answer_alike"),
        ],
    },
    Schedule {
        name: "S31",
        what: "a counter comes back with a row that was made anew",
        states: &[],
        mutants: &[],
        tests: &[
            ("kcl-core/src/lease/write_test.rs", "fn each_write_is_guarded_by_what_the_protocol_says"),
            ("kcl-core/src/tenancy/writer_test.rs", "fn the_validity_of_a_row_that_others_deleted_and_made_anew_is_over"),
        ],
    },
    Schedule {
        name: "S32",
        what: "a finished shard is made again",
        states: &[State::RowDeleted, State::LateCreateLanded],
        mutants: &[Mutant::DeletedAtOnce],
        tests: &[
            ("kcl-core/tests/worker/audits.rs", "fn the_row_of_a_finished_shard_stays_while_it_is_listed_and_is_deleted_after"),
        ],
    },
    Schedule {
        name: "S33",
        what: "a parent's row is not seen",
        states: &[State::ChildElsewhere, State::MergeEndedByTwo],
        mutants: &[Mutant::ChildWithoutParents, Mutant::MergeWaitsForOne],
        tests: &[],
    },
    Schedule {
        name: "S34",
        what: "somebody deletes a row that is held",
        states: &[],
        mutants: &[],
        tests: &[
            ("kcl-core/tests/worker/ownership.rs", "fn a_row_that_somebody_deletes_is_made_again_with_the_last_acknowledged_checkpoint"),
            ("kcl-core/src/tenancy/writer_test.rs", "fn a_deleted_row_is_put_back_with_what_was_to_be_stored_and_above_every_counter_it_had"),
        ],
    },
];
