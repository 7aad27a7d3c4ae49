use crate::sim::mutant::Mutant;

use super::states::RareState;

/// A way in which a protocol of leases can fail, and where this one is shown not to.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    /// What it is called in the cases and the tests.
    pub name: &'static str,
    /// What would happen.
    pub what: &'static str,
    states: &'static [RareState],
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
        states: &[RareState::OvertakenByOwnWrite, RareState::SettledByConflict],
        mutants: &[Mutant::SettledByCounter],
        tests: &[
            ("kcl-core/src/decide/settle.rs", "fn a_late_renewal_is_not_mistaken_for_the_checkpoint_after_it"),
        ],
    },
    Schedule {
        name: "S2",
        what: "a passing on lands after a read that did not show it",
        states: &[RareState::PassedOn, RareState::LateWriteLanded],
        mutants: &[],
        tests: &[
            ("kcl-core/tests/worker/hand_over.rs", "fn a_lease_handed_over_by_a_lost_answer_is_drained"),
            ("tests/src/model/state.rs", "ResumeAfterPassOn"),
        ],
    },
    Schedule {
        name: "S3",
        what: "an owner's deadline counts from a retry",
        states: &[],
        mutants: &[Mutant::DeadlineFromAnswer],
        tests: &[
            ("kcl-core/src/tenancy/writer_test.rs", "fn validity_counts_from_the_first_write_that_may_have_landed"),
        ],
    },
    Schedule {
        name: "S4",
        what: "a take lands when nobody waits for it",
        states: &[RareState::LateTakeLanded, RareState::GivenBack],
        mutants: &[],
        tests: &[
            ("kcl-core/src/decide/testdata/assignment.txt", "# S4"),
        ],
    },
    Schedule {
        name: "S5",
        what: "a take or a request of an earlier tenancy lands",
        states: &[RareState::LateWriteRefused, RareState::TakeLost, RareState::RequestLost],
        mutants: &[Mutant::TakeWithoutCondition],
        tests: &[],
    },
    Schedule {
        name: "S6",
        what: "a process takes its namesake's lease for its own",
        states: &[RareState::TakenFromTwin, RareState::TwinFound],
        mutants: &[Mutant::OwnById],
        tests: &[
            ("kcl-core/src/decide/testdata/assignment.txt", "# S6"),
        ],
    },
    Schedule {
        name: "S7",
        what: "two live processes have one name",
        states: &[RareState::TwinFound],
        mutants: &[],
        tests: &[
            ("kcl-core/tests/worker/ownership.rs", "fn of_two_live_workers_with_one_id_the_later_one_stops"),
        ],
    },
    Schedule {
        name: "S8",
        what: "a quick restart against a release at the stop",
        states: &[RareState::TakenFromTwin, RareState::WorkerLeft],
        mutants: &[],
        tests: &[
            ("kcl-core/tests/worker/fleet.rs", "fn a_worker_that_kept_its_leases_has_them_back_at_once"),
        ],
    },
    Schedule {
        name: "S9",
        what: "an owner that only checkpoints never hears a request",
        states: &[RareState::Requested, RareState::PassedOn],
        mutants: &[Mutant::DeafOwner],
        tests: &[
            ("kcl-core/src/tenancy/writer_test.rs", "fn a_lease_that_only_checkpoints_still_hears_requests"),
        ],
    },
    Schedule {
        name: "S10",
        what: "a late passing on fits a second request",
        states: &[RareState::PassedOn],
        mutants: &[],
        tests: &[
            ("tests/src/model/state.rs", "PassOnWithoutCounter"),
        ],
    },
    Schedule {
        name: "S11",
        what: "a worker begins a lease on sight of its name",
        states: &[RareState::Claimed],
        mutants: &[Mutant::StartOnSight],
        tests: &[
            ("kcl-core/src/decide/testdata/assignment.txt", "# S11"),
        ],
    },
    Schedule {
        name: "S12",
        what: "who asked for a lease dies, and is believed to live",
        states: &[RareState::PassedOnTaken, RareState::Refused],
        mutants: &[],
        tests: &[
            ("kcl-core/tests/worker/hand_over_deaths.rs", "fn a_request_of_a_worker_that_dies_before_the_drain_is_refused"),
        ],
    },
    Schedule {
        name: "S13",
        what: "an owner dies in a hand-over",
        states: &[RareState::TakenInHandOver],
        mutants: &[],
        tests: &[
            ("kcl-core/tests/worker/hand_over_deaths.rs", "fn leases_in_hand_over_from_a_dead_worker_are_soon_read_again"),
        ],
    },
    Schedule {
        name: "S14",
        what: "the owner and who asked die",
        states: &[RareState::TakenInHandOver, RareState::TakenFromCrashed],
        mutants: &[],
        tests: &[
            ("kcl-core/tests/worker/hand_over_deaths.rs", "fn after_owner_and_requester_die_a_third_worker_reads_on"),
        ],
    },
    Schedule {
        name: "S15",
        what: "who asked for a lease stops with the request open",
        states: &[RareState::Withdrawn],
        mutants: &[],
        tests: &[
            ("kcl-core/tests/worker/hand_over.rs", "fn an_owner_whose_batch_outlasts_a_request_reads_on"),
        ],
    },
    Schedule {
        name: "S16",
        what: "a withdrawal meets the owner's answer",
        states: &[RareState::Withdrawn, RareState::RequestLost],
        mutants: &[],
        tests: &[
            ("kcl-core/src/decide/testdata/assignment.txt", "# S16"),
        ],
    },
    Schedule {
        name: "S17",
        what: "the handler of a lease that is asked for does not return",
        states: &[RareState::Refused],
        mutants: &[],
        tests: &[
            ("kcl-core/tests/worker/fleet.rs", "fn a_handler_that_does_not_return_refuses_the_hand_over"),
        ],
    },
    Schedule {
        name: "S18",
        what: "two workers ask for one lease",
        states: &[RareState::RequestLost],
        mutants: &[],
        tests: &[
            ("kcl-core/src/decide/testdata/assignment.txt", "# S18"),
        ],
    },
    Schedule {
        name: "S19",
        what: "a shard ends while its lease is asked for",
        states: &[RareState::EndedWhileAsked],
        mutants: &[],
        tests: &[],
    },
    Schedule {
        name: "S20",
        what: "the last checkpoint is lost between two writes",
        states: &[RareState::ReleasedWithCheckpoint, RareState::PassedOn],
        mutants: &[],
        tests: &[
            ("tests/src/model/state.rs", "NoLastCheckpoint"),
        ],
    },
    Schedule {
        name: "S21",
        what: "who leaves is counted as empty",
        states: &[RareState::FreedThenTaken, RareState::WorkerLeft],
        mutants: &[],
        tests: &[
            ("kcl-core/tests/worker/fleet.rs", "fn leases_freed_at_a_stop_are_read_at_once_without_a_duplicate"),
        ],
    },
    Schedule {
        name: "S22",
        what: "leases are reserved for a worker that has no room",
        states: &[RareState::LeftForWantOfRoom, RareState::TakenForTheFull],
        mutants: &[Mutant::FreeLooksTaken],
        tests: &[
            ("kcl-core/src/decide/testdata/assignment.txt", "# S22"),
            ("kcl-core/tests/worker/fleet.rs", "fn a_worker_at_its_cap_reports_shards_that_others_then_take"),
        ],
    },
    Schedule {
        name: "S23",
        what: "a dead worker's shards wait for a look",
        states: &[RareState::TakenFromCrashed],
        mutants: &[],
        tests: &[
            ("kcl-core/tests/worker/fleet.rs", "fn shards_of_a_dead_worker_are_read_within_failover_and_1_s"),
        ],
    },
    Schedule {
        name: "S24",
        what: "an observer stood still, and the whole fleet looks dead",
        states: &[RareState::FrozenOverDeadline, RareState::TakenFromFrozen],
        mutants: &[Mutant::LivingLooksFree],
        tests: &[
            ("kcl-core/src/decide/testdata/assignment.txt", "# S24"),
            ("kcl-core/src/decide/testdata/members.txt", "# S24"),
        ],
    },
    Schedule {
        name: "S25",
        what: "replicas show the past now and then",
        states: &[RareState::TakenFromCrashed],
        mutants: &[],
        tests: &[
            ("kcl-core/src/decide/testdata/members.txt", "# S25"),
        ],
    },
    Schedule {
        name: "S26",
        what: "workers differ in their failover times",
        states: &[RareState::OutlivedShorter],
        mutants: &[],
        tests: &[
            ("kcl-core/src/decide/testdata/members.txt", "# S26"),
            ("kcl-core/src/decide/assignment/fleet_test.rs", "fn different_failover_times_cause_no_takeovers"),
        ],
    },
    Schedule {
        name: "S27",
        what: "a clock stands still with its machine",
        states: &[RareState::FrozenOverDeadline],
        mutants: &[Mutant::ClockStopsWithProcess],
        tests: &[
            ("kcl-core/src/runtime.rs", "Boottime"),
        ],
    },
    Schedule {
        name: "S28",
        what: "a shard that is held up by others loses its lease",
        states: &[RareState::ReleasedByBudget],
        mutants: &[],
        tests: &[
            ("kcl-core/tests/worker/renewals.rs", "fn a_shard_that_waits_long_for_its_parent_keeps_its_lease"),
            ("kcl-core/tests/worker/budget.rs", "fn a_handler_that_is_stopped_stops_no_other_shard"),
        ],
    },
    Schedule {
        name: "S29",
        what: "a worker's row is written over one that is gone, or judged by its clock",
        states: &[RareState::WorkerRowRefused],
        mutants: &[],
        tests: &[
            ("kcl-core/src/decide/testdata/members.txt", "a stale reading of a worker's row is no \
                sign of life"),
            ("kcl-core/tests/worker/renewals.rs", "fn lost_late_and_dropped_writes_lose_nothing"),
        ],
    },
    Schedule {
        name: "S30",
        what: "a write makes a row that was not there",
        states: &[RareState::LateWriteRefused, RareState::RowDeleted],
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
            ("kcl-core/src/tenancy/writer_test.rs", "fn a_row_deleted_and_made_anew_by_others_is_no_longer_valid"),
        ],
    },
    Schedule {
        name: "S32",
        what: "a finished shard is made again",
        states: &[RareState::RowDeleted, RareState::LateCreateLanded],
        mutants: &[Mutant::DeletedAtOnce],
        tests: &[
            ("kcl-core/tests/worker/audits.rs", "fn a_finished_row_stays_while_its_shard_is_listed"),
        ],
    },
    Schedule {
        name: "S33",
        what: "a parent's row is not seen",
        states: &[RareState::ChildElsewhere, RareState::MergeEndedByTwo],
        mutants: &[Mutant::ChildWithoutParents, Mutant::MergeWaitsForOne],
        tests: &[],
    },
    Schedule {
        name: "S34",
        what: "somebody deletes a row that is held",
        states: &[],
        mutants: &[],
        tests: &[
            ("kcl-core/tests/worker/ownership.rs", "fn a_deleted_row_is_restored_with_its_last_checkpoint"),
            ("kcl-core/src/tenancy/writer_test.rs", "fn a_deleted_row_is_restored_with_the_pending_checkpoint"),
        ],
    },
];
