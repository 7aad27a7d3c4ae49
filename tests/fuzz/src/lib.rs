//! What is fuzzed: each target is a function that takes any bytes and panics when a promise does
//! not hold for them.
//!
//! Targets know the published formats through decoders of others, so that "it did not crash" is the
//! least of what they ask. `bash .ci/fuzz` runs them with libFuzzer, guided by coverage; `cargo
//! test` in this folder runs their corpus and random bytes.

mod deaggregator;
mod multilang;
mod oracle;
mod page;
// What reads the lines of child processes.
#[path = "../../../kcl-multilang/src/protocol/mod.rs"]
#[allow(dead_code, unused_imports, unreachable_pub)]
mod protocol;
// What reads the answers of Kinesis, itself: in kcl-core it is private, and beside the AWS SDK, which
// would be compiled with counters on every edge.
#[path = "../../../kcl-core/src/stream/kinesis/page_pool.rs"]
#[allow(dead_code)]
mod page_pool;
#[path = "../../../kcl-core/src/stream/kinesis/wire/mod.rs"]
#[allow(dead_code, unused_imports)]
mod wire;
#[path = "../../../kcl-core/src/stream/kinesis/wire_oracle.rs"]
mod wire_oracle;

use kcl_core::{Clock, model};

/// What the pool of pages takes from kcl-core, where it is private.
mod runtime {
    use std::sync::Arc;

    use kcl_core::{Clock, SystemClock};

    pub(crate) fn system_clock() -> Arc<dyn Clock> {
        Arc::new(SystemClock)
    }
}

pub use deaggregator::deaggregator;
pub use multilang::multilang;
pub use oracle::seal;
pub use page::page;
