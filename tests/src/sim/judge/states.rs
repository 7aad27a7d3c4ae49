use std::fmt;

macro_rules! states {
    ($($name:ident = $text:literal,)+) => {
        /// A state that a fault has to be met in, or that is rare: a run that never reached it has
        /// not shown much.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[repr(usize)]
        pub(super) enum RareState {
            $($name,)+
        }

        const TEXTS: &[&str] = &[$($text,)+];

        impl RareState {
            pub(super) const fn text(self) -> &'static str {
                TEXTS[self as usize]
            }
        }
    };
}

states! {
    TakenFromCrashed = "a lease was taken from a process that had crashed",
    TakenFromFrozen = "a lease was taken from a process that stood still",
    TakenFromLiving = "a lease was taken from a process that lived and could not renew it",
    TakenFromTwin = "a lease was taken by a process of the same name",
    TakenWhileInCall = "a lease was taken while a handler of its owner was inside a call",
    TakenInHandOver = "a lease was taken while a hand-over was under way",
    TakeLost = "two workers took the same lease, and one was refused",
    FreedThenTaken = "a lease was taken within a second after it was freed",
    LateWriteRefused = "a write that came late was refused",
    LateWriteLanded = "a write that came late was carried out",
    LateCheckpointRefused = "a checkpoint came after its owner had lost the lease, and was refused",
    LateTakeLanded = "a take was carried out after nobody waited for it any more",
    LateCreateLanded = "a lease was made after nobody waited for it any more",
    SettledByConflict = "a refused write was found to have been carried out before",
    OvertakenByOwnWrite = "a write was refused because an earlier one of the same owner had landed",
    ReleasedWithCheckpoint = "a lease was freed together with its last checkpoint",
    ReleasedByBudget = "a lease was freed while its handler was inside a call",
    Requested = "a lease was asked for",
    RequestLost = "a request was refused because another one stood",
    PassedOn = "a lease was passed on",
    Claimed = "a lease that was passed on was claimed",
    PassedOnTaken = "a lease that was passed on was taken by somebody else",
    GivenBack = "a lease that was passed on was given back",
    Refused = "a request was refused by the owner",
    Withdrawn = "a request was withdrawn",
    EndedWhileAsked = "a shard ended while its lease was asked for",
    MergeEndedByTwo = "the parents of a merge were ended by different workers",
    MergeEndedByOne = "the parents of a merge were ended by the same worker",
    ChildElsewhere = "a child was begun by another worker than its parent's last",
    ResharedWhileBehind = "a shard was closed while records of it were not done",
    EmptyEnded = "a shard without any record was ended",
    LeftUnread = "a shard left the stream without ever having had a lease",
    GapReported = "a gap was reported",
    CursorOvertaken = "retention overtook an open cursor",
    PendingFound = "a processor was given what an earlier owner had prepared",
    BatchRetried = "a batch was handed out again",
    SkippedRecord = "a record that failed was skipped",
    InitializeFailed = "initialize failed, and was called again",
    EndFailed = "shard_ended failed, and was called again",
    TwinFound = "a process stopped because another one has its name",
    RowDeleted = "the lease of a shard that had left was deleted",
    WorkerLeft = "a worker marked its row as leaving",
    CheckpointAfterLoss = "a checkpoint that was asked for after the loss was refused",
    FrozenOverDeadline = "a process woke up after its lease had been taken",
    LeftForWantOfRoom = "a worker said that shards are unread because it has no room for more",
    TakenForTheFull = "a lease was taken by a worker that had more than one without room for it",
    OutlivedShorter = "an owner showed no life for longer than the failover time of another \
        worker, and kept its lease",
    WorkerRowRefused = "a sign of life was refused, because the row was not as its worker knew it",
    StreamGivenUp = "a lease was freed because its worker was told to read its stream no more",
    LeftToOthers = "a lease was freed by a process that did not get through to the stream",
    EndNotBelieved = "an answer said that an open shard had ended, and was not believed",
    ToldTooSoon = "an answer said that a closed shard had ended, and there were records left",
    ReadAnew = "a worker of several streams noticed that one was made again",
    EndedReplaced = "a worker of one stream ended because it was made again",
    ReadAfterRepair = "a lease was taken whose row could not be read before",
    SubscriptionUnused = "a subscription ended or broke before it brought a record",
    SubscriptionTakenOver = "a subscription was ended by the one of a new owner",
    EndPushed = "the end of a shard was pushed",
    EndedByAsking = "a shard was ended whose subscription did not say so: it was asked by polling",
    StreamTakenUp = "a lease came back to a worker that had been told to read its stream no more",
}

/// How often each interesting state was reached.
#[derive(Clone, Debug)]
pub struct States(Vec<u64>);

impl Default for States {
    fn default() -> Self {
        Self(vec![0; TEXTS.len()])
    }
}

impl States {
    pub(super) fn add(&mut self, state: RareState) {
        self.0[state as usize] += 1;
    }

    /// Adds those of another world.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (sum, count) in self.0.iter_mut().zip(&other.0) {
            *sum += count;
        }
    }

    /// How many there are, and how many of them were reached at least so often.
    #[must_use]
    pub fn reached(&self, times: u64) -> (usize, usize) {
        (
            self.0.len(),
            self.0.iter().filter(|count| **count >= times).count(),
        )
    }
}

impl fmt::Display for States {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (text, count) in TEXTS.iter().zip(&self.0) {
            writeln!(f, "{count:>9}  {text}")?;
        }
        Ok(())
    }
}
