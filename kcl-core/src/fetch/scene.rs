//! What tests of readers begin with: a stream in memory and a held lease, on a clock that is
//! paused.

use std::sync::Arc;

use crate::deaggregate::OutOfRange;
use crate::meters::{Labels, ShardMeters, WorkerLabels};
use crate::model::{Checkpoint, Facts, LeaseKey, ShardId};
use crate::model::{Fence, ShardRef};
use crate::paused::PausedClock;
use crate::runtime::Clock;
use crate::stream::memory::MemoryStream;
use crate::tenancy::held::{Held, HeldState, ProgressReporter};
use crate::tenancy::pulse::Pulse;

use super::{ByteBudget, PageDecoder, Resume};

/// What a test of a way to read begins with: a stream in memory, on the paused clock, whose one
/// shard is held and unread.
pub(super) struct Scene {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) stream: MemoryStream,
    pub(super) shard: ShardId,
    pub(super) shard_ref: ShardRef,
    pub(super) held: Held,
    pub(super) budget: ByteBudget,
}

impl Scene {
    pub(super) fn new() -> Self {
        let clock: Arc<dyn Clock> = Arc::new(PausedClock::new());
        let stream = MemoryStream::with_clock("orders", 1, Arc::clone(&clock));
        let shard = stream.open_shards().remove(0);
        let key = LeaseKey::single(shard.clone());
        let shared = Arc::new(HeldState::new(
            key.clone(),
            Fence(1),
            Checkpoint::TrimHorizon,
            clock.now(),
            Pulse::none(),
        ));
        let (orders, _) = tokio::sync::mpsc::unbounded_channel();
        let (_, loss) = tokio::sync::watch::channel(None);
        let held = Held::new(shared, orders, loss);
        let shard_ref = ShardRef::new("orders".parse().unwrap(), key, shard.clone());
        let budget = ByteBudget::new(ByteBudget::DEFAULT).unwrap();
        Self {
            clock,
            stream,
            shard,
            shard_ref,
            held,
            budget,
        }
    }

    pub(super) fn turns(&self) -> ProgressReporter {
        self.held.turns(Arc::clone(&self.clock))
    }

    pub(super) fn labels(&self) -> Labels {
        Labels::new(&self.shard_ref, None, &WorkerLabels::new("tests", None))
    }

    pub(super) fn intake(&self) -> PageDecoder {
        let resume = Resume::new(&Checkpoint::TrimHorizon, &Facts::default()).unwrap();
        let meters = ShardMeters::new(&self.labels());
        PageDecoder::new(
            Arc::clone(&self.clock),
            meters,
            resume,
            None,
            OutOfRange::default(),
        )
    }
}
