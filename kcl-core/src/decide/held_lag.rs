//! What a worker says in its row of how far behind its leases are.
//!
//! The row is read with every scan, by every worker, so it stays short: of a fleet at the tip it has
//! two numbers. Those leases are listed that somebody has to look after.

use std::cmp::Reverse;
use std::time::Duration;

use crate::lease::{HeldLag, ListedLag, Standstill};
use crate::model::LeaseKey;

/// From this lag on a lease is listed, and from so long a standstill on: two to three heartbeats by
/// default. A batch that takes a few seconds is not worth the bytes.
pub const NOTABLE: Duration = Duration::from_secs(10);
/// So many leases are listed at most.
pub const LISTED: usize = 8;
/// So many bytes they take at most. A row of a worker has some 350 bytes without them, and each
/// write of up to 1 KB costs one unit.
pub const LISTED_BYTES: usize = 450;

/// A lease that this worker holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardLag {
    /// Which.
    pub lease: LeaseKey,
    /// Whether its shard is to be read. A child that waits for its parents is not behind.
    pub is_read: bool,
    /// How far behind it is. `None` while the stream has not said so.
    pub behind: Option<Duration>,
    /// What it stands still by, and for how long.
    pub standstill: Option<(Standstill, Duration)>,
}

/// What the row is to say of these leases.
///
/// Those that stand still come first, and among them and among the others those that are furthest
/// behind.
#[must_use]
pub fn held_lag(shards: Vec<ShardLag>) -> HeldLag {
    let leases = shards.len();
    let mut notable: Vec<ListedLag> = Vec::new();
    let mut others = Some(Duration::ZERO);
    let mut pass_over = |behind: Option<Duration>| {
        others = others.zip(behind).map(|(most, behind)| most.max(behind));
    };
    for shard in shards {
        let standstill = shard
            .standstill
            .filter(|(_, span)| *span >= NOTABLE)
            .map(|(by, span)| (by, Duration::from_secs(span.as_secs())));
        let listed = ListedLag {
            lease: shard.lease,
            behind: shard.behind.map(whole_millis),
            standstill,
        };
        let is_late = listed.behind.is_some_and(|behind| behind >= NOTABLE);
        if (is_late || standstill.is_some()) && is_writable(&listed.lease) {
            notable.push(listed);
        } else if shard.is_read {
            pass_over(listed.behind);
        }
    }
    notable.sort_by_key(|it| {
        (
            it.standstill.is_none(),
            Reverse(it.behind),
            it.lease.clone(),
        )
    });
    let (mut listed, mut bytes) = (Vec::new(), 0);
    for lease in notable {
        bytes += lease.to_string().len() + 1;
        if listed.len() < LISTED && bytes <= LISTED_BYTES {
            listed.push(lease);
        } else {
            pass_over(lease.behind);
        }
    }
    HeldLag {
        leases,
        others,
        listed,
    }
}

/// A table stores whole milliseconds.
fn whole_millis(span: Duration) -> Duration {
    Duration::from_millis(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
}

/// Whether the key can stand in the row. Those of Kinesis can; a stream of one's own may have names
/// with spaces.
fn is_writable(key: &LeaseKey) -> bool {
    let text = key.to_string();
    !text.is_empty() && !text.contains(' ') && LeaseKey::parse(&text) == *key
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::cases::{run, setting};

    /// `3 leases like NAME lag=2 f=12`: the lag and the standstill are in seconds.
    fn shards(line: &str) -> Vec<ShardLag> {
        let (count, rest) = line.split_once(" x ").unwrap_or(("1", line));
        let count: usize = count.parse().expect("a number of leases");
        let mut words = rest.split(", ");
        let name = words.next().expect("a name");
        let mut shard = ShardLag {
            lease: LeaseKey::parse(name),
            is_read: true,
            behind: None,
            standstill: None,
        };
        let seconds = |text: &str| {
            Duration::try_from_secs_f64(text.parse().expect("seconds")).expect("seconds")
        };
        for word in words {
            let stands = |by, text| Some((by, seconds(text)));
            match setting(word) {
                ("waits", _) => shard.is_read = false,
                ("behind", text) => shard.behind = Some(seconds(text)),
                ("fails", text) => shard.standstill = stands(Standstill::HandlerFails, text),
                ("busy", text) => shard.standstill = stands(Standstill::HandlerBusy, text),
                ("silent", text) => shard.standstill = stands(Standstill::ReadsFail, text),
                other => panic!("what is {other:?}?"),
            }
        }
        let numbered = |number: usize| {
            let mut shard = shard.clone();
            if count > 1 {
                shard.lease.shard = format!("{}{number}", shard.lease.shard).into();
            }
            shard
        };
        (0..count).map(numbered).collect()
    }

    #[test]
    fn a_row_says_how_far_behind_as_the_cases_say() {
        run("held_lag.txt", |given| {
            let lag = held_lag(given.iter().flat_map(|line| shards(line)).collect());
            lag.to_string()
        });
    }

    #[test]
    fn a_row_stays_below_a_write_unit_and_can_be_read_back() {
        let key = |number: u32| LeaseKey {
            stream: Some(format!("123456789012:{}:1700000000", "s".repeat(128)).into()),
            shard: format!("shardId-{number:012}").into(),
        };
        let shard = |number: u32| ShardLag {
            lease: key(number),
            is_read: true,
            behind: Some(Duration::from_secs(8_640_000)),
            standstill: Some((Standstill::HandlerFails, Duration::from_secs(8_640_000))),
        };
        let lag = held_lag((0..10_000).map(shard).collect());
        assert!((1..LISTED).contains(&lag.listed.len()), "{lag}");
        assert!(lag.to_string().len() <= LISTED_BYTES + 30, "{lag}");
        assert_eq!(HeldLag::parse(&lag.to_string()), Some(lag));
    }
}
