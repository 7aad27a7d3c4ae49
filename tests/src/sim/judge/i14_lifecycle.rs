use std::collections::{BTreeMap, BTreeSet};

use crate::sim::history::{Call, Entry, Event, ProcessorId, Returned};

use super::fold::{Fold, See, Sink};

/// I14: a processor's calls never overlap and come in this order: initialize until it succeeds,
/// batches and idle calls, perhaps one `shutdown_requested`, and at the end one of `shard_ended` (until it
/// succeeds) and `lease_lost`. No checkpoint that is asked for after `lease_lost` is stored.
#[derive(Debug, Default)]
pub(super) struct Lifecycle {
    stages: BTreeMap<ProcessorId, Stage>,
    /// Checkpoints that were asked for after the loss, by the numbers of the events.
    asked_after: BTreeSet<u64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Stage {
    initialized: bool,
    stopping: bool,
    ending: bool,
    over: bool,
    lost: bool,
    /// The call that it is in.
    inside: Option<LifecycleKind>,
    /// Calls of the same kind in a row that failed.
    failures: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LifecycleKind {
    Initialize,
    Process,
    Idle,
    LeaseLost,
    ShardEnded,
    ShutdownRequested,
}

impl LifecycleKind {
    const fn of(call: &Call) -> Self {
        match call {
            Call::Initialize { .. } => Self::Initialize,
            Call::Process { .. } => Self::Process,
            Call::Idle => Self::Idle,
            Call::LeaseLost(_) => Self::LeaseLost,
            Call::ShardEnded { .. } => Self::ShardEnded,
            Call::ShutdownRequested => Self::ShutdownRequested,
        }
    }
}

impl Fold for Lifecycle {
    fn name(&self) -> &'static str {
        "I14 lifecycle"
    }

    fn judges_deleted(&self) -> bool {
        true
    }

    fn on(&mut self, entry: &Entry, see: &See<'_>, sink: &mut Sink<'_>) {
        match &entry.event {
            Event::Called { processor, call } => {
                let stage = self.stages.entry(*processor).or_default();
                let kind = LifecycleKind::of(call);
                let allowed = stage.inside.is_none()
                    && !stage.over
                    && match kind {
                        LifecycleKind::Initialize => !stage.initialized,
                        LifecycleKind::Process | LifecycleKind::Idle => {
                            stage.initialized && !stage.stopping && !stage.ending
                        }
                        LifecycleKind::ShardEnded => stage.initialized && !stage.stopping,
                        LifecycleKind::ShutdownRequested => stage.initialized && !stage.stopping,
                        LifecycleKind::LeaseLost => stage.initialized,
                    };
                sink.check(allowed, || {
                    let info = see.board.processor(*processor);
                    format!(
                        "{}: {:?} calls {call:?} of {processor:?} in {stage:?}",
                        info.key, info.life
                    )
                });
                if let Call::Initialize { attempt, .. } | Call::ShardEnded { attempt } = call {
                    let expected = stage.failures + 1;
                    sink.check(*attempt == expected, || {
                        format!("{processor:?}: attempt {attempt} of {kind:?}, not {expected}")
                    });
                }
                stage.inside = Some(kind);
                stage.stopping |= kind == LifecycleKind::ShutdownRequested;
                stage.ending |= kind == LifecycleKind::ShardEnded;
                stage.lost |= kind == LifecycleKind::LeaseLost;
            }
            Event::Returned {
                processor,
                returned,
            } => {
                let stage = self.stages.entry(*processor).or_default();
                let done = *returned == Returned::Done;
                stage.failures = if done { 0 } else { stage.failures + 1 };
                match stage.inside.take() {
                    Some(LifecycleKind::Initialize) => stage.initialized |= done,
                    Some(LifecycleKind::ShardEnded) => stage.over |= done,
                    Some(LifecycleKind::LeaseLost) => stage.over = true,
                    Some(
                        LifecycleKind::Process
                        | LifecycleKind::Idle
                        | LifecycleKind::ShutdownRequested,
                    )
                    | None => {
                        stage.failures = 0;
                    }
                }
            }
            Event::Checkpointing { processor, ask, .. }
                if self.stages.get(processor).is_some_and(|stage| stage.lost) =>
            {
                self.asked_after.insert(*ask);
            }
            Event::Checkpointed {
                processor,
                ask,
                up_to,
                prepare: false,
                error: None,
            } => {
                sink.check(!self.asked_after.contains(ask), || {
                    format!(
                        "{processor:?} stored a checkpoint below {up_to} that it asked for \
                        after its lease was lost"
                    )
                });
            }
            _ => {}
        }
    }
}
