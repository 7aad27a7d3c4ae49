//! All points in one list, and the two ways to run them.
//!
//! The list exists once, in `__lease_table_points!`, and is passed to whoever wants it. Whoever
//! adds a point adds its name there: a point that is not in the list never runs, and no lint
//! notices it, because the points are public.

use std::future::Future;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;

use crate::runtime::panic_message;

use super::TableFixture;

/// Runs every point of the contract, each on its own fixture, and reports all points that do not
/// hold.
///
/// It goes on after a point that fails, because the first failure of a new table is rarely the only
/// one. For a test in continuous integration prefer
/// [`lease_table_contract!`](crate::lease_table_contract): its tests run in parallel and have
/// names.
///
/// # Examples
/// ```
/// use std::sync::Arc;
///
/// use kcl_core::MemoryLeaseTable;
/// use kcl_core::lease::LeaseTable;
/// use kcl_core::testing::lease_table::{TableFixture, suite};
///
/// struct Fresh(MemoryLeaseTable);
///
/// #[async_trait::async_trait]
/// impl TableFixture for Fresh {
///     async fn handle(&self) -> Arc<dyn LeaseTable> {
///         Arc::new(self.0.clone())
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// suite(|| async { Fresh(MemoryLeaseTable::new()) }).await;
/// # }
/// ```
///
/// # Panics
/// If a point does not hold. The message names each such point and what it found.
pub async fn suite<F, Fresh>(fresh: impl Fn() -> Fresh)
where
    F: TableFixture,
    Fresh: Future<Output = F>,
{
    let mut broken = Vec::new();
    macro_rules! run {
        ($($point:ident)*) => {$(
            let fixture = fresh().await;
            let point = Box::pin(AssertUnwindSafe(super::points::$point(&fixture)).catch_unwind());
            if let Err(panic) = point.await {
                broken.push(format!("{}: {}", stringify!($point), panic_message(&*panic)));
            }
        )*};
    }
    crate::__lease_table_points!([run] []);
    assert!(
        broken.is_empty(),
        "the table violates {} points of the contract:\n- {}",
        broken.len(),
        broken.join("\n- ")
    );
}

/// Makes a `#[tokio::test]` for each point of the lease table's contract.
///
/// Its argument is a function `async fn fresh() -> F`, where `F` is a
/// [`TableFixture`](crate::testing::lease_table::TableFixture). The crate that uses it needs tokio
/// with the features `macros` and `rt`.
///
/// # Examples
/// In `tests/contract.rs` of the crate that has the table:
///
/// ```
/// # use std::sync::Arc;
/// # use kcl_core::MemoryLeaseTable;
/// # use kcl_core::lease::LeaseTable;
/// # use kcl_core::testing::lease_table::TableFixture;
/// # struct Fresh(MemoryLeaseTable);
/// # #[async_trait::async_trait]
/// # impl TableFixture for Fresh {
/// #     async fn handle(&self) -> Arc<dyn LeaseTable> {
/// #         Arc::new(self.0.clone())
/// #     }
/// # }
/// async fn fresh() -> Fresh {
///     Fresh(MemoryLeaseTable::new())
/// }
///
/// mod contract {
///     kcl_core::lease_table_contract!(super::fresh);
/// }
/// # fn main() {}
/// ```
///
/// The names of the points become the names of the tests, so `cargo test
/// contract::a_renewal_needs_counter_and_token` runs one of them.
#[macro_export]
macro_rules! lease_table_contract {
    ($fresh:path) => {
        $crate::__lease_table_points! { [$crate::__lease_table_tests] [$fresh;] }
    };
}

/// One `#[tokio::test]` per point. It is a macro of its own because the list of points decides what
/// is done with it only when it is expanded.
#[doc(hidden)]
#[macro_export]
macro_rules! __lease_table_tests {
    ($fresh:path; $($point:ident)*) => {$(
        #[::tokio::test]
        async fn $point() {
            let fixture = $fresh().await;
            $crate::testing::lease_table::points::$point(&fixture).await;
        }
    )*};
}

/// Passes the list of all points to another macro, after the arguments of that macro: Rust has no
/// other way to iterate over functions at compile time.
#[doc(hidden)]
#[macro_export]
macro_rules! __lease_table_points {
    ([$($then:tt)*] [$($arguments:tt)*]) => {
        $($then)*! { $($arguments)*
            a_created_lease_is_stored_as_given
            a_creation_does_not_replace_a_row
            a_delete_needs_its_counter_and_the_end_of_the_shard
            a_delete_of_nothing_is_a_conflict_without_a_row
            a_deleted_lease_can_be_created_anew
            a_take_of_a_free_lease_needs_its_counter
            a_take_from_an_owner_needs_its_counter_alone
            a_take_ends_a_pending_hand_over
            a_claim_needs_counter_owner_and_no_pending_hand_over
            a_renewal_needs_counter_and_token
            a_renewal_leaves_a_hand_over_pending
            a_renewal_without_a_token_needs_that_there_is_none
            a_release_needs_counter_token_and_checkpoint
            a_release_ends_a_pending_hand_over
            a_release_stores_the_last_checkpoint
            a_request_needs_owner_token_no_other_request_and_no_end
            a_request_to_an_owner_without_a_token_needs_its_absence
            a_request_does_not_need_the_counter
            a_withdrawal_needs_both_owners_and_the_token
            a_passing_on_needs_counter_token_both_owners_and_checkpoint
            a_passing_on_stores_the_last_checkpoint
            a_refusal_needs_counter_token_and_both_owners
            a_pause_needs_no_owner_and_leaves_the_counter
            a_resume_removes_the_pause_alone
            an_assignment_needs_no_owner_and_leaves_the_counter
            an_assignment_is_ended_only_by_its_name
            a_seek_needs_counter_checkpoint_and_no_owner
            a_checkpoint_needs_counter_token_and_the_one_before
            a_checkpoint_leaves_a_hand_over_pending
            what_a_shard_carries_goes_along_with_a_write
            a_first_checkpoint_replaces_the_value_at_the_start
            a_first_checkpoint_passes_the_time_of_the_start
            a_prepared_checkpoint_needs_what_a_checkpoint_needs
            a_prepared_checkpoint_replaces_the_one_before
            an_end_stores_the_children_and_leaves_no_owner
            an_end_without_children_keeps_those_known_before
            an_end_ends_a_pending_hand_over
            children_need_counter_and_token
            facts_need_counter_and_token
            facts_replace_those_before
            a_hash_range_needs_the_row_alone
            each_write_builds_on_the_row_that_the_last_one_returned
            checkpoints_are_exact
            checkpoints_are_compared_exactly
            prepared_checkpoints_are_exact
            hash_ranges_are_exact
            counters_are_exact
            leases_of_several_streams_are_kept_apart
            any_text_is_a_name
            names_are_compared_exactly
            facts_are_exact
            setting_up_again_keeps_everything
            an_empty_table_has_no_rows
            reads_see_what_was_acknowledged
            a_scan_has_each_row_once
            rows_that_stay_are_listed_once_while_others_come_and_go
            foreign_rows_are_left_alone
            unknown_attributes_survive_every_write
            a_malformed_lease_hides_no_other_and_is_left_alone
            a_malformed_worker_hides_no_other_and_is_left_alone
            a_worker_row_is_created_once
            a_worker_row_is_replaced_only_as_seen
            a_worker_row_is_deleted_only_as_seen
            the_lag_of_a_worker_is_no_condition
            workers_and_leases_are_kept_apart
            the_signal_changes_with_the_announcements_of_others
            the_signal_changes_with_own_announcements
            the_hints_reach_back_over_several_announcements
            the_hints_reach_back_to_before_the_first_announcement
            announcements_at_the_same_time_are_all_heard
            the_signal_stays_while_nobody_announces
            the_hints_are_bounded
            one_of_64_takers_wins
            one_of_64_creators_wins
            a_passing_on_and_a_withdrawal_exclude_each_other
            no_conditional_addition_is_lost
        }
    };
}
