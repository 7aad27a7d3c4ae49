//! Dead letters on the wire: the SDK's client against a queue in this process.

mod letters;
mod queue;
