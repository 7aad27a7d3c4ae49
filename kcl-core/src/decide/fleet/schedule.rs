use std::time::Duration;

use crate::decide::assignment::Take;
use crate::decide::audit::next_audit;
use crate::decide::backoff::Backoff;
use crate::model::Moment;

/// How often the table is scanned when this worker holds every lease in it and is alone, or its fleet
/// is quiet.
pub(super) const SCAN_IDLE: Duration = Duration::from_secs(30);
/// A stream that does not exist yet or is still being created is looked for again after 1, 2 and 4
/// s, and then less and less often.
const NOT_YET: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));

/// When this worker scans the table, compares shards with leases (an audit), and takes the leases
/// of its plan.
#[derive(Clone, Debug)]
pub struct Schedule {
    scan_every: Duration,
    audit_every: Duration,
    next_scan: Moment,
    /// When the last scan began.
    last_scan: Moment,
    /// When the last scan began that was used.
    taken_in: Moment,
    is_scanning: bool,
    /// Whether it has already made its one immediate extra scan.
    has_scanned_early: bool,
    /// When the last audit of any worker was seen.
    last_audit: Moment,
    /// When the scan of its own last audit began.
    own_audit: Moment,
    /// No audit before this moment, unless there is a reason for one.
    audit_from: Moment,
    /// An audit at this moment, whatever other workers do: for something that only its own audit
    /// can find.
    audit_soon: Option<Moment>,
    is_auditing: bool,
    /// How many consecutive audits have found a stream that does not exist yet.
    not_yet: u32,
    /// When it last finished with a lease.
    disengaged: Moment,
    /// The leases that the last plan takes later, the earliest first.
    takes: Vec<Take>,
    /// Whether a KCL that starts on the table has to be noticed soon.
    is_watchful: bool,
    /// How often there is a reason to scan.
    pace: ScanPace,
}

/// How often the table is scanned by the one worker that has to see a KCL that starts, where heartbeats
/// hold the leases and the fleet is quiet, or that worker alone: a
/// quarter of the time between two looks of that KCL, which takes what has stood still from one to the
/// next. It looks each 20 s if it has its default failover time. If its time is shorter, so is this
/// worker's, of which this is half.
const SCAN_WATCHFUL: Duration = Duration::from_secs(5);

/// How often there is a reason to scan the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScanPace {
    /// Each fifth of the failover time: others may have changed something.
    Busy,
    /// Seldom: nothing changes without a word of it.
    Quiet,
    /// Seldom: there are no leases or workers besides its own, so scans find nothing, and the change
    /// signal tells when a worker joins.
    Alone,
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DueStep {
    /// To scan the table.
    Scan,
    /// To compare shards with leases.
    Audit,
}

/// What an audit has shown.
#[derive(Clone, Copy, Debug)]
pub struct AuditOutcome {
    /// When its scan began and ended.
    pub scan: (Moment, Moment),
    /// Rows are missing that existed a short while ago. After this time, their holders have written
    /// them again or no longer hold them.
    pub put_off: Option<Duration>,
    /// A stream does not exist yet.
    pub not_yet: bool,
    /// Another worker has created leases in the meantime, so what was seen of the fleet is stale.
    pub overtaken: bool,
}

/// What a worker with a bound does when every lease that it knows has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadingStep {
    /// It waits for an audit.
    Wait,
    /// It audits once more: since its last audit it has finished with a lease, whose children may
    /// be missing.
    Audit,
    /// It is finished.
    Finish,
}

impl Schedule {
    /// Creates the schedule with these intervals. The first scan is due immediately.
    #[must_use]
    pub fn new(scan_every: Duration, audit_every: Duration) -> Self {
        Self {
            is_watchful: false,
            pace: ScanPace::Busy,
            scan_every,
            audit_every,
            next_scan: Moment::default(),
            last_scan: Moment::default(),
            taken_in: Moment::default(),
            is_scanning: false,
            has_scanned_early: false,
            last_audit: Moment::default(),
            own_audit: Moment::default(),
            audit_from: Moment::default(),
            audit_soon: None,
            is_auditing: false,
            not_yet: 0,
            disengaged: Moment::default(),
            takes: Vec::new(),
        }
    }

    /// When the next step is due. `rank` is how many workers audit before this one.
    #[must_use]
    pub fn next_wakeup(&self, rank: impl FnOnce() -> usize) -> Option<Moment> {
        let scan = (!self.is_scanning).then_some(self.next_scan);
        let audit = (!self.is_auditing).then(|| self.next_audit(rank));
        let take = self.takes.first().map(|take| take.at);
        scan.into_iter().chain(audit).chain(take).min()
    }

    /// What is due at `now`, once the due leases are taken: one thing at a time, a scan first.
    #[must_use]
    pub fn due(&self, now: Moment, rank: impl FnOnce() -> usize) -> Option<DueStep> {
        if !self.is_scanning && now >= self.next_scan {
            Some(DueStep::Scan)
        } else if !self.is_auditing && now >= self.next_audit(rank) {
            Some(DueStep::Audit)
        } else {
            None
        }
    }

    fn next_audit(&self, rank: impl FnOnce() -> usize) -> Moment {
        let scans_every = if self.pace == ScanPace::Quiet {
            SCAN_IDLE
        } else {
            self.scan_every
        };
        self.audit_soon.unwrap_or_else(|| {
            next_audit(self.last_audit, self.audit_every, scans_every, rank()).max(self.audit_from)
        })
    }
}

/// Takes.
impl Schedule {
    /// Replaces the leases to take by those of a new plan.
    pub fn plan(&mut self, takes: Vec<Take>) {
        self.takes = takes;
    }

    /// Removes and returns the leases to take at `now`.
    pub fn due_takes(&mut self, now: Moment) -> Vec<Take> {
        let later = self
            .takes
            .split_off(self.takes.partition_point(|take| take.at <= now));
        std::mem::replace(&mut self.takes, later)
    }
}

/// Scans.
impl Schedule {
    /// Notes that a scan begins.
    pub fn scan_begins(&mut self, now: Moment) {
        self.is_scanning = true;
        (self.last_scan, self.next_scan) = (now, now + self.scan_every);
    }

    /// Notes that the scan has ended, in whatever way.
    pub const fn scan_ended(&mut self) {
        self.is_scanning = false;
    }

    /// Whether rows that were read from `begun` on are new, that is, no scan that began later was
    /// used before. An audit ends long after its scan.
    pub fn is_news(&mut self, begun: Moment) -> bool {
        let is_news = begun >= self.taken_in;
        self.taken_in = self.taken_in.max(begun);
        is_news
    }

    /// Notes a change without hints. Workers that start together on an empty table create more
    /// leases than the signal can name, and have hardly seen each other, so the first such change
    /// leads to an immediate scan. Later ones wait for the regular scans, because scans are
    /// expensive.
    pub fn something_changed(&mut self) {
        self.next_scan = if self.has_scanned_early {
            self.next_scan.min(self.last_scan + self.scan_every)
        } else {
            self.last_scan
        };
        self.has_scanned_early = true;
    }

    /// Notes a reason to scan by this moment.
    pub fn scan_by(&mut self, moment: Moment) {
        self.next_scan = self.next_scan.min(moment);
    }

    /// Notes that the rows read at `now` have been acted on, and how often there is a reason to scan.
    pub fn seen(&mut self, now: Moment, pace: ScanPace) {
        self.pace = pace;
        if pace == ScanPace::Busy {
            self.scan_by(self.last_scan + self.scan_every);
        } else if self.next_scan > now {
            let every = if self.is_watchful {
                // A scan is due each fifth of the failover time.
                SCAN_WATCHFUL.min(self.scan_every * 5 / 2)
            } else {
                SCAN_IDLE
            };
            self.next_scan = self.last_scan + every.max(self.scan_every);
        }
    }

    /// Notes that a fleet which was quiet is not any more, as is known at `now`.
    pub fn hurry(&mut self, now: Moment) {
        self.scan_by(now.max(self.last_scan + self.scan_every / 2));
    }

    /// Sets whether this worker has to hear soon of a KCL that starts on the table.
    pub const fn watch_for_a_kcl(&mut self, is_watchful: bool) {
        self.is_watchful = is_watchful;
    }

    /// Notes that this worker has finished with a lease: it looks for free leases now. With a
    /// bound, it may have been the last one.
    pub fn disengaged(&mut self, now: Moment, reading_ends: bool) {
        self.disengaged = now;
        if reading_ends {
            self.next_scan = now;
        }
        self.scan_by(now + self.scan_every);
    }
}

/// Audits.
impl Schedule {
    /// Notes that the first audit was made before the loop began, so the next regular one follows
    /// at its usual time.
    pub fn begins(&mut self, now: Moment) {
        self.audit_from = now + self.audit_every;
    }

    /// Notes that an audit begins.
    pub fn audit_begins(&mut self, now: Moment) {
        self.is_auditing = true;
        self.audit_soon = None;
        self.audit_from = now + self.audit_every;
    }

    /// Notes that the audit has ended, in whatever way.
    pub const fn audit_ended(&mut self) {
        self.is_auditing = false;
    }

    /// Notes that another worker's audit was seen.
    pub fn saw_audit(&mut self, now: Moment) {
        self.last_audit = self.last_audit.max(now);
    }

    /// Notes a reason for an audit by this moment, whatever other workers do.
    pub fn audit_by(&mut self, moment: Moment) {
        self.audit_soon = Some(self.audit_soon.map_or(moment, |soon| soon.min(moment)));
    }

    /// Notes that the streams have changed, or that one of them is known now: an audit follows
    /// immediately, or right after the current one, which may have begun before.
    pub const fn audit_at_once(&mut self, now: Moment) {
        self.audit_soon = Some(now);
    }

    /// Whether an audit is in progress.
    #[must_use]
    pub const fn is_auditing(&self) -> bool {
        self.is_auditing
    }

    /// Notes that an audit was finished at `now`. Its scan counts as a regular one.
    pub fn audited(&mut self, outcome: AuditOutcome, now: Moment) {
        let (begun, ended) = outcome.scan;
        self.saw_audit(begun);
        self.own_audit = begun;
        if let Some(span) = outcome.put_off {
            self.audit_by(ended + span);
        }
        if outcome.not_yet {
            self.audit_by(now + NOT_YET.longest(self.not_yet));
            self.not_yet += 1;
        } else {
            self.not_yet = 0;
        }
        if self.last_scan <= begun {
            (self.last_scan, self.next_scan) = (begun, begun + self.scan_every);
        }
        if outcome.overtaken {
            // Workers that start together have not seen each other, so the second one does not wait
            // for its next regular scan.
            self.next_scan = begun;
        }
    }

    /// What follows once every known lease is read up to the bound. The children of a shard that
    /// has ended may be created by another worker, and a slow table may not show them yet.
    #[must_use]
    pub fn reading_step(&self) -> ReadingStep {
        if self.is_auditing || self.audit_soon.is_some() {
            ReadingStep::Wait
        } else if self.own_audit < self.disengaged {
            ReadingStep::Audit
        } else {
            ReadingStep::Finish
        }
    }
}

#[cfg(test)]
#[path = "schedule_test.rs"]
mod tests;
