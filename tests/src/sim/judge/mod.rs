//! What has to be true: each invariant is a small fold over the history, in a file of its own. A
//! violation goes to a sink; nothing here panics, because a panic in a task of a worker would be
//! caught by it.

mod board;
mod finder;
mod fold;
mod healed;
#[expect(
    clippy::module_inception,
    reason = "the type that the folder is named for"
)]
mod judge;
mod progress;
mod schedules;
mod states;

mod b1_duplicates;
mod i01_no_regress;
mod i02_fence;
mod i03_epochs;
mod i04_overlap;
mod i05_no_skip;
mod i06_resume;
mod i07_order;
mod i08_bounds;
mod i09_parents;
mod i10_reshard;
mod i11_cover;
mod i12_delete;
mod i13_plans;
mod i14_lifecycle;
mod i15_unknown;
mod i16_removed;
mod i17_pace;
mod i18_listings;
mod i19_lanes;
mod l4_clean_stop;

pub use fold::Violation;
pub(crate) use judge::Judge;
pub use schedules::Schedule;
pub use states::States;
