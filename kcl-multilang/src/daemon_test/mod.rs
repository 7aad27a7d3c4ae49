#![allow(
    clippy::disallowed_methods,
    reason = "a test waits in real time and starts its worker as a task"
)]

mod failures;
mod habits;
mod scene;
