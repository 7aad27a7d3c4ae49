//! A model of one lease and two workers, looked through to its last state.
//!
//! The simulator draws worlds and sees some of what can happen; this sees all of it, in a world
//! that is small enough. Every write is made, judged and carried out by the product's own code:
//! [`Write`](kcl_core::lease::Write), `Expect`, `Edits` and [`settle`](kcl_core::testing::internals::settle).
//! What a worker *wants* is not decided here: each step that a plan could ever ask for may come at
//! any time, so what holds, holds for every plan.
//!
//! A write is answered, or its answer is lost, or it is lost, or it lands at any later time, or it
//! comes twice. A read may be older than the last write. A worker may stand still behind its
//! deadline, or crash, at any time.
//!
//! One thing is assumed and not shown: whoever takes an expired lease does so after its owner's own
//! deadline. That is a matter of clocks, and the simulator's.

mod check;
mod row;
mod state;
mod step;
mod transition;

pub use check::{BadState, Explored, check};
pub use state::{Defect, ModelBounds};
