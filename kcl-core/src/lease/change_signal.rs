use crate::model::{LeaseKey, WorkerId};

/// Something in the lease table that has changed and that other workers should read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Changed {
    /// A lease was released, requested, handed over, refused, created or ended.
    Lease(LeaseKey),
    /// A worker has joined or is leaving.
    Worker(WorkerId),
}

/// The change signal: a value that differs after every announcement, and the latest announcements.
///
/// ```
/// use kcl_core::lease::{ChangeSignal, Changed};
/// use kcl_core::model::LeaseKey;
///
/// let mut signal = ChangeSignal::default();
/// let seen = signal.value.clone();
/// let changed = Changed::Lease(LeaseKey::single("shardId-000000000000"));
/// signal.announce("1", &[changed.clone()]);
/// assert_eq!(signal.since(&seen), Some(vec![&changed]));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChangeSignal {
    /// Opaque: only equality has a meaning.
    pub value: String,
    /// The latest announcements, newest first, each with the value that it gave the signal. They
    /// are hints: the list may be empty, and it need not reach back to the value that a worker saw
    /// last.
    pub recent: Vec<(String, Changed)>,
    /// The value before the first announcement of all, as long as `recent` still contains every
    /// announcement; otherwise `None`. With it, a worker that read the table before it had any
    /// lease still learns of each new lease by its key.
    pub first: Option<String>,
}

/// The signal of a table before the first announcement.
impl Default for ChangeSignal {
    fn default() -> Self {
        Self {
            value: String::new(),
            recent: Vec::new(),
            first: Some(String::new()),
        }
    }
}

impl ChangeSignal {
    /// How many changes a table remembers: enough that other workers learn of all the leases of a
    /// stopping worker with 64 shards without a scan.
    pub const RECENT: usize = 64;

    /// Creates a signal with this value and without hints.
    #[must_use]
    pub fn new(value: impl Into<String>) -> Self {
        Self {
            value: value.into(),
            recent: Vec::new(),
            first: None,
        }
    }

    /// Adds an announcement of these changes, which gives the signal this value.
    pub fn announce(&mut self, value: impl Into<String>, changed: &[Changed]) {
        self.value = value.into();
        if changed.len() + self.recent.len() > Self::RECENT {
            self.first = None;
        }
        let new = changed
            .iter()
            .take(Self::RECENT)
            .map(|changed| (self.value.clone(), changed.clone()));
        self.recent.splice(0..0, new.collect::<Vec<_>>());
        self.recent.truncate(Self::RECENT);
    }

    /// The changes that were announced after the signal had the value `seen`, each once. `None` if
    /// they are not known, in which case the caller has to scan the table.
    #[must_use]
    pub fn since(&self, seen: &str) -> Option<Vec<&Changed>> {
        if self.value == seen {
            return Some(Vec::new());
        }
        let all = (self.first.as_deref() == Some(seen)).then_some(self.recent.len());
        let reaches = self
            .recent
            .iter()
            .position(|(value, _)| value == seen)
            .or(all)?;
        let mut changed: Vec<&Changed> = self.recent[..reaches]
            .iter()
            .map(|(_, changed)| changed)
            .collect();
        changed.sort_unstable();
        changed.dedup();
        Some(changed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(shard: &str) -> Changed {
        Changed::Lease(LeaseKey::single(shard))
    }

    /// A reader that saw an earlier value gets each change that came after it, once.
    #[test]
    fn since_an_earlier_value_each_change_is_told_once() {
        let mut signal = ChangeSignal::default();
        signal.announce("1", &[lease("a"), lease("b")]);
        signal.announce("2", &[lease("b")]);
        signal.announce("3", &[lease("b"), lease("c")]);
        assert_eq!(signal.since("1"), Some(vec![&lease("b"), &lease("c")]));
        assert_eq!(signal.since("3"), Some(Vec::new()));
    }

    #[test]
    fn a_value_that_is_not_remembered_says_to_look_at_everything() {
        let mut signal = ChangeSignal::default();
        assert_eq!(signal.since("elsewhere"), None);
        signal.announce("1", &[lease("a")]);
        for number in 2..200 {
            signal.announce(number.to_string(), &[lease("b"), lease("c")]);
        }
        assert_eq!(signal.recent.len(), ChangeSignal::RECENT);
        assert_eq!(signal.since("1"), None);
        assert_eq!(signal.since("190"), Some(vec![&lease("b"), &lease("c")]));
    }

    /// A reader that saw the table before the first announcement gets every change, until the first
    /// one is forgotten.
    #[test]
    fn since_the_beginning_everything_is_told_until_it_is_forgotten() {
        let mut signal = ChangeSignal::default();
        let seen = signal.value.clone();
        for number in 1..=ChangeSignal::RECENT {
            signal.announce(number.to_string(), &[lease(&number.to_string())]);
            assert_eq!(
                signal.since(&seen).map(|changed| changed.len()),
                Some(number)
            );
        }
        signal.announce("one more", &[lease("a")]);
        assert_eq!(signal.since(&seen), None);
        assert_eq!(
            ChangeSignal::new("of which nothing more is known").since(&seen),
            None
        );
    }

    /// An announcement that is longer than the memory hides what came before it.
    #[test]
    fn an_announcement_longer_than_the_memory_hides_earlier_ones() {
        let mut signal = ChangeSignal::default();
        let seen = signal.value.clone();
        signal.announce("1", &[lease("a")]);
        let many: Vec<_> = (0..100).map(|number| lease(&number.to_string())).collect();
        signal.announce("2", &many);
        assert_eq!(signal.since("1"), None);
        assert_eq!(signal.since(&seen), None);
    }
}
