//! What a world is like: everything is drawn from its seed before it begins, and printed when it
//! fails.

mod chaos;
mod differences;
mod fan_out;
mod handlers;
mod link;
mod load;
mod overrides;
#[expect(
    clippy::module_inception,
    reason = "the type that the folder is named for"
)]
mod world;

pub use chaos::Chaos;
pub use fan_out::FanOut;
pub use handlers::{Handlers, Style};
pub use link::LinkFaults;
pub use load::SimLoad;
pub use overrides::Overrides;
pub use world::{SimFleet, World};
