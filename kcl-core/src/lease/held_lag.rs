use std::fmt;
use std::time::Duration;

use crate::model::LeaseKey;

/// How far behind the leases of a worker are, as the worker says in its row with each heartbeat.
///
/// The row is read with every scan of the table, so it names only the leases that an operator asks
/// about; of the others it has the greatest lag. Nothing is decided by it: it is for those who look
/// at the fleet from outside ([`FleetView`](crate::admin::FleetView)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldLag {
    /// How many leases the worker held. If the table shows another number, leases have come or gone
    /// since then, and the figure of [`others`](Self::others) may be about other leases.
    pub leases: usize,
    /// The greatest lag of the leases that are not listed, in whole milliseconds. Zero if there are
    /// none. `None` if the lag of one of them is not known yet.
    pub others: Option<Duration>,
    /// The leases that are far behind or stand still.
    pub listed: Vec<ListedLag>,
}

/// A lease of a [`HeldLag`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedLag {
    /// Which.
    pub lease: LeaseKey,
    /// How far processing is behind the tip of its shard, in whole milliseconds
    /// ([`ShardStatus::millis_behind_latest`](crate::worker::ShardStatus::millis_behind_latest)).
    /// `None` if it is not known.
    pub behind: Option<Duration>,
    /// What it stands still by, if the worker knows that, and for how long, in whole seconds.
    pub standstill: Option<(Standstill, Duration)>,
}

/// What keeps a shard that is held from making progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize),
    serde(rename_all = "snake_case")
)]
pub enum Standstill {
    /// Each call of the handler fails.
    HandlerFails,
    /// A call of the handler has not returned.
    HandlerBusy,
    /// Each call that reads the shard fails.
    ReadsFail,
}

impl Standstill {
    const ALL: [Self; 3] = [Self::HandlerFails, Self::HandlerBusy, Self::ReadsFail];

    /// The letter for it in a lease table.
    const fn letter(self) -> char {
        match self {
            Self::HandlerFails => 'f',
            Self::HandlerBusy => 'b',
            Self::ReadsFail => 'r',
        }
    }
}

/// The lag in milliseconds, or `?`.
struct Millis(Option<Duration>);

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(lag) => lag.as_millis().fmt(f),
            None => f.write_str("?"),
        }
    }
}

impl Millis {
    fn parse(text: &str) -> Option<Self> {
        Some(Self(match text {
            "?" => None,
            number => Some(Duration::from_millis(number.parse().ok()?)),
        }))
    }
}

/// Writes it as a table stores it: the number of leases, the greatest lag of those that are not
/// listed, and for each listed one its lag, what it stands still by, and its key. One space stands
/// between two of them.
///
/// ```text
/// 8 340                                             eight leases, none is further behind than 340 ms
/// 8 340 62000 shardId-000000000003                  one is listed: 62 s
/// 8 340 62000f60 shardId-000000000003               its handler has failed for 60 s
/// ```
impl fmt::Display for HeldLag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.leases, Millis(self.others))?;
        self.listed
            .iter()
            .try_for_each(|listed| write!(f, " {listed}"))
    }
}

impl fmt::Display for ListedLag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Millis(self.behind).fmt(f)?;
        if let Some((standstill, span)) = self.standstill {
            write!(f, "{}{}", standstill.letter(), span.as_secs())?;
        }
        write!(f, " {}", self.lease)
    }
}

impl HeldLag {
    /// The greatest lag of all leases, or `None` if one of them is not known.
    #[must_use]
    pub fn greatest(&self) -> Option<Duration> {
        let listed = self.listed.iter().map(|listed| listed.behind);
        listed.fold(self.others, |most, behind| {
            most.zip(behind).map(|(most, behind)| most.max(behind))
        })
    }

    /// What a table has stored. `None` for what no worker of this version writes.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let leases = words.next()?.parse().ok()?;
        let others = Millis::parse(words.next()?)?.0;
        let mut listed = Vec::new();
        while let Some(figures) = words.next() {
            listed.push(ListedLag::parse(figures, words.next()?)?);
        }
        Some(Self {
            leases,
            others,
            listed,
        })
    }
}

impl ListedLag {
    fn parse(figures: &str, key: &str) -> Option<Self> {
        let is_letter = |standstill: &Standstill| figures.contains(standstill.letter());
        let (behind, standstill) = match Standstill::ALL.into_iter().find(is_letter) {
            Some(standstill) => {
                let (behind, seconds) = figures.split_once(standstill.letter())?;
                let span = Duration::from_secs(seconds.parse().ok()?);
                (behind, Some((standstill, span)))
            }
            None => (figures, None),
        };
        Some(Self {
            lease: LeaseKey::parse(key),
            behind: Millis::parse(behind)?.0,
            standstill,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(
        shard: &str,
        behind: Option<u64>,
        standstill: Option<(Standstill, u64)>,
    ) -> ListedLag {
        ListedLag {
            lease: LeaseKey::single(shard),
            behind: behind.map(Duration::from_millis),
            standstill: standstill.map(|(by, seconds)| (by, Duration::from_secs(seconds))),
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mut several = listed("shardId-7", Some(12_000), None);
        several.lease.stream = Some("1:orders:1700000000".into());
        let lag = HeldLag {
            leases: 12,
            others: Some(Duration::from_millis(340)),
            listed: vec![
                listed("0", Some(62_000), Some((Standstill::HandlerFails, 60))),
                listed("1", None, Some((Standstill::ReadsFail, 11))),
                listed("2", Some(15_000), Some((Standstill::HandlerBusy, 15))),
                several,
            ],
        };
        let text = "12 340 62000f60 0 ?r11 1 15000b15 2 12000 1:orders:1700000000:shardId-7";
        assert_eq!(lag.to_string(), text);
        assert_eq!(HeldLag::parse(text), Some(lag));
        let unknown = HeldLag {
            leases: 1,
            others: None,
            listed: Vec::new(),
        };
        assert_eq!(HeldLag::parse("1 ?"), Some(unknown));
    }

    #[test]
    fn what_is_not_understood_says_nothing() {
        for text in [
            "",
            "1",
            "1 ",
            "x 0",
            "1 x",
            "1 -1",
            "1 0 5",
            "1 0 5x3 0",
            "1 0 5f 0",
            "1 0 f5 0",
            "1 0  0",
            "1 0 5f3b2 0",
        ] {
            assert_eq!(HeldLag::parse(text), None, "{text}");
        }
    }
}
