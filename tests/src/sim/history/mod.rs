//! What happened in a world, in order. Everything that is judged is judged from here.

mod event;
#[expect(
    clippy::module_inception,
    reason = "the type that the folder is named for"
)]
mod history;

pub(crate) use event::{
    Asked, Call, Event, InOrder, LifeId, Over, ProcessorId, Returned, Said, Written,
};
pub(crate) use history::{Entry, History};
