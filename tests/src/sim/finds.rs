use super::Mutant;

/// A world that finds each defect, to be tried first: a change of the worker changes what happens
/// in every world. `sim mutants` looks for them anew.
const FOUND_BY: &[(Mutant, u64)] = &[
    (Mutant::CheckpointWithoutCondition, 0),
    (Mutant::CheckpointByOwner, 0),
    (Mutant::CheckpointBeforeProcess, 0),
    (Mutant::CheckpointGoesBack, 0),
    (Mutant::SubSequenceIgnored, 1),
    (Mutant::FailedBatchIsDone, 29),
    (Mutant::ResumeOneTooFar, 1),
    (Mutant::RecordTwice, 1),
    (Mutant::GapUnreported, 52),
    (Mutant::ChildWithoutParents, 1),
    (Mutant::MergeWaitsForOne, 1),
    (Mutant::ChildAtLatest, 1),
    (Mutant::EndBeforeLastRecord, 41),
    (Mutant::EmptyShardNeverEnds, 2),
    (Mutant::EndNotStored, 1),
    (Mutant::DeletedAtOnce, 1),
    (Mutant::LivingLooksFree, 1),
    (Mutant::FreeLooksTaken, 0),
    (Mutant::TakeWithoutCondition, 1),
    (Mutant::StartOnSight, 1),
    (Mutant::RenewalNotSent, 0),
    (Mutant::DeadlineFromAnswer, 0),
    (Mutant::ClockStopsWithProcess, 1),
    (Mutant::LostAnswerIsSuccess, 0),
    (Mutant::LoserKeepsGoing, 52),
    (Mutant::SettledByCounter, 52),
    (Mutant::OwnById, 0),
    (Mutant::DeafOwner, 1),
    (Mutant::HandsOutAfterLoss, 1),
    (Mutant::PlansOscillate, 1),
    (Mutant::ChildNotMade, 1),
    (Mutant::NoRoomIsRoom, 3),
    (Mutant::DeafToRemoval, 10),
    (Mutant::ResumeTooEarly, 0),
    (Mutant::FailureIsProgress, 7),
    (Mutant::EndWithoutListing, 0),
    (Mutant::UnnamedEndBelieved, 51),
    (Mutant::PauseOverlooked, 18),
    (Mutant::SeekOverlooked, 52),
    (Mutant::SeekWithoutCondition, 52),
    (Mutant::MoveOverlooked, 12),
    (Mutant::DrainOverlooked, 13),
    (Mutant::ListingForEachLease, 0),
    (Mutant::OneRowIsAll, 10),
    (Mutant::DescriptionKept, 5),
    (Mutant::SubscribesAfter, 18),
    (Mutant::EndNotAsked, 6),
    (Mutant::CheckpointAtGreatestDone, 14),
    (Mutant::KeysOutOfOrder, 14),
    (Mutant::AtWorkIsDone, 9),
    (Mutant::DeadLetterAfterCheckpoint, 31),
    (Mutant::FlushAfterCheckpoint, 8),
    (Mutant::FilterDropsWork, 8),
    (Mutant::BeatWithoutCondition, 55),
    (Mutant::TakeWithoutKill, 70),
    (Mutant::EvidenceOfAnother, 149),
    (Mutant::BeatWhileHung, 7),
];

/// What the folds say of which nothing else would be found, and by which defect.
const SAID_BY: &[(Mutant, &str)] = &[
    (Mutant::ChildNotMade, "I11 cover"),
    (Mutant::BeatWhileHung, "L1/L2 liveness"),
    (Mutant::FailureIsProgress, "L1/L2 liveness"),
    (Mutant::EndWithoutListing, "I8 checkpoint bounds"),
    (Mutant::UnnamedEndBelieved, "I5 no skip"),
    (Mutant::EndNotAsked, "L1/L2 liveness"),
    (Mutant::ListingForEachLease, "I18 listings"),
    (Mutant::OneRowIsAll, "L1/L2 liveness"),
    (Mutant::DescriptionKept, "L1/L2 liveness"),
    (Mutant::NoRoomIsRoom, "I13 plans"),
    (Mutant::PauseOverlooked, "I13 plans"),
    (Mutant::SeekOverlooked, "I6 resume"),
    (Mutant::SeekWithoutCondition, "I2 fence"),
    (Mutant::MoveOverlooked, "L3 balance"),
    (Mutant::DrainOverlooked, "L3 balance"),
    (Mutant::DeafToRemoval, "I16 removed streams"),
    (Mutant::ResumeTooEarly, "B1 duplicates"),
    (Mutant::CheckpointAtGreatestDone, "I5 no skip"),
    (Mutant::KeysOutOfOrder, "I19 lanes"),
    (Mutant::AtWorkIsDone, "I5 no skip"),
    (Mutant::DeadLetterAfterCheckpoint, "I5 no skip"),
    (Mutant::FlushAfterCheckpoint, "I5 no skip"),
    (Mutant::FilterDropsWork, "I5 no skip"),
];

impl Mutant {
    /// The world that found it last.
    ///
    /// # Panics
    /// If none is named.
    #[must_use]
    pub fn known_world(self) -> u64 {
        let known = FOUND_BY.iter().find(|(of, _)| *of == self);
        known.expect("a world for each defect").1
    }

    /// The invariant by which it has to be found, if only that would find it elsewhere.
    #[must_use]
    pub fn own_invariant(self) -> Option<&'static str> {
        let own = SAID_BY.iter().find(|(of, _)| *of == self);
        own.map(|(_, invariant)| *invariant)
    }
}
