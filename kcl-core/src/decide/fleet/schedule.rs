use std::time::Duration;

use crate::decide::assignment::Take;
use crate::decide::audit::next_audit;
use crate::decide::backoff::Backoff;
use crate::model::Moment;

/// How often the table is scanned when this worker holds every lease in it and is alone.
const SCAN_IDLE: Duration = Duration::from_secs(30);
/// A stream that is not there yet, or is still being created, is looked for again after 1, 2 and
/// 4 s, and then less and less often.
const NOT_YET: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));

/// When this worker scans the table, compares shards with leases (an audit), and takes what it has
/// planned to take.
#[derive(Clone, Debug)]
pub struct Schedule {
    scan_every: Duration,
    audit_every: Duration,
    next_scan: Moment,
    /// When the last scan was begun.
    last_scan: Moment,
    /// When the last scan was begun that was taken in.
    taken_in: Moment,
    is_scanning: bool,
    /// It has scanned once out of its turn.
    has_scanned_early: bool,
    /// When anybody's last audit was seen.
    last_audit: Moment,
    /// When the scan of the last audit of its own was begun.
    own_audit: Moment,
    /// No audit before then, unless there is reason for one.
    audit_from: Moment,
    /// An audit then, whatever others do: there is something that only an audit of its own finds.
    audit_soon: Option<Moment>,
    is_auditing: bool,
    /// So many audits in a row have found a stream that is not there yet.
    not_yet: u32,
    /// When it last had done with a lease.
    disengaged: Moment,
    /// What the last plan takes later, the earliest first.
    takes: Vec<Take>,
}

/// What it is time for.
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
    /// Rows were missing that were there a short while ago. After this span their holder has put
    /// them back, or has no use for them.
    pub put_off: Option<Duration>,
    /// A stream is not there yet.
    pub not_yet: bool,
    /// Somebody else has created leases meanwhile: what was seen of the fleet is old.
    pub overtaken: bool,
}

/// What a worker whose reading ends does when every lease that it knows of is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadingStep {
    /// It waits for an audit.
    Wait,
    /// It audits once more: since its last audit it was done with a lease, whose children may be
    /// missing.
    Audit,
    /// It is done.
    Finish,
}

impl Schedule {
    /// The schedule of a worker that scans and audits so often. The first scan is due at once.
    #[must_use]
    pub fn new(scan_every: Duration, audit_every: Duration) -> Self {
        Self {
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

    /// When there is something to do by the clock. `rank`: how many workers audit before this one.
    #[must_use]
    pub fn next_wakeup(&self, rank: impl FnOnce() -> usize) -> Option<Moment> {
        let scan = (!self.is_scanning).then_some(self.next_scan);
        let audit = (!self.is_auditing).then(|| self.next_audit(rank));
        let take = self.takes.first().map(|take| take.at);
        scan.into_iter().chain(audit).chain(take).min()
    }

    /// What it is time for at `now`, after what is due to be taken: one thing at a time, a scan
    /// first.
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
        self.audit_soon.unwrap_or_else(|| {
            next_audit(self.last_audit, self.audit_every, rank()).max(self.audit_from)
        })
    }
}

/// Takes.
impl Schedule {
    /// A new plan takes these, and nothing else.
    pub fn plan(&mut self, takes: Vec<Take>) {
        self.takes = takes;
    }

    /// Removes and returns what is to be taken at `now`.
    pub fn due_takes(&mut self, now: Moment) -> Vec<Take> {
        let later = self
            .takes
            .split_off(self.takes.partition_point(|take| take.at <= now));
        std::mem::replace(&mut self.takes, later)
    }
}

/// Scans.
impl Schedule {
    /// A scan begins.
    pub fn scan_begins(&mut self, now: Moment) {
        self.is_scanning = true;
        (self.last_scan, self.next_scan) = (now, now + self.scan_every);
    }

    /// The scan has ended, however.
    pub const fn scan_ended(&mut self) {
        self.is_scanning = false;
    }

    /// Whether rows that were read from `begun` on are news: no scan that began later was taken in
    /// before. An audit ends long after its scan.
    pub fn is_news(&mut self, begun: Moment) -> bool {
        let is_news = begun >= self.taken_in;
        self.taken_in = self.taken_in.max(begun);
        is_news
    }

    /// Something has changed that nobody names. Workers that start together on an empty table
    /// create more leases than the signal can name, and have hardly seen each other: once a scan
    /// comes at once. Later none comes sooner than those that come by themselves, because scans
    /// cost.
    pub fn something_changed(&mut self) {
        self.next_scan = if self.has_scanned_early {
            self.next_scan.min(self.last_scan + self.scan_every)
        } else {
            self.last_scan
        };
        self.has_scanned_early = true;
    }

    /// There is reason to scan by then.
    pub fn scan_by(&mut self, moment: Moment) {
        self.next_scan = self.next_scan.min(moment);
    }

    /// What was read at `now` has been acted on. If there are no leases or workers but its own
    /// (`others`), a scan finds nothing: the change signal tells when somebody comes.
    pub fn seen(&mut self, now: Moment, others: bool) {
        if others {
            self.scan_by(self.last_scan + self.scan_every);
        } else if self.next_scan > now {
            self.next_scan = self.last_scan + SCAN_IDLE.max(self.scan_every);
        }
    }

    /// This worker has nothing to do any more with a lease that it had to do with: it looks for
    /// what is free now. In a reading that ends that may have been the last one.
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
    /// The first audit was done before the loop began: the next one by itself is not before its
    /// time.
    pub fn begins(&mut self, now: Moment) {
        self.audit_from = now + self.audit_every;
    }

    /// An audit begins.
    pub fn audit_begins(&mut self, now: Moment) {
        self.is_auditing = true;
        self.audit_soon = None;
        self.audit_from = now + self.audit_every;
    }

    /// The audit has ended, however.
    pub const fn audit_ended(&mut self) {
        self.is_auditing = false;
    }

    /// An audit of somebody else's was seen.
    pub fn saw_audit(&mut self, now: Moment) {
        self.last_audit = self.last_audit.max(now);
    }

    /// There is reason for an audit by then, whatever others do.
    pub fn audit_by(&mut self, moment: Moment) {
        self.audit_soon = Some(self.audit_soon.map_or(moment, |soon| soon.min(moment)));
    }

    /// The streams have changed, or one of them is known now: an audit at once, or right after the
    /// one that goes on and may have begun before.
    pub const fn audit_at_once(&mut self, now: Moment) {
        self.audit_soon = Some(now);
    }

    /// Whether an audit goes on.
    #[must_use]
    pub const fn is_auditing(&self) -> bool {
        self.is_auditing
    }

    /// An audit was done at `now`. Its scan stands for one of the worker's.
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
            // Workers that start together have not seen each other: the second does not idle until
            // its next scan.
            self.next_scan = begun;
        }
    }

    /// Every lease that is known is read up to the bound: what follows. The children of a shard
    /// that has ended may be somebody else's to create, and a table that answers late may not show
    /// them yet.
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
