use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use clap::ValueEnum;

use super::network::{Harm, HarmedService, Trouble};

/// Something to do to a fleet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// SIGKILL to a worker.
    Kill(Whom),
    /// SIGKILL to a worker, and a start under the same name.
    Restart(Whom),
    /// SIGSTOP to a worker for twice the failover time, or for so long; then SIGCONT.
    Freeze(Whom, Option<Duration>),
    /// SIGTERM to a worker.
    Stop(Whom),
    /// Harm to the requests of a worker.
    Harm(Whom, Trouble),
    /// One more worker.
    Add,
    /// The widest shard into halves.
    Split,
    /// The two narrowest neighbours into one.
    Merge,
}

/// A worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whom {
    /// The one with this number: 2 is `w2`.
    Number(usize),
    /// The one that has been working for longest.
    Oldest,
}

/// What to do when, in the order of time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script(pub Vec<(Duration, Action)>);

impl fmt::Display for Whom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "w{number}"),
            Self::Oldest => f.write_str("the oldest worker"),
        }
    }
}

const ALLOWED: &str = "kill, restart, freeze, stop (each with the number of a worker, if not the oldest is meant; freeze also with a \
                       time: `freeze 2 10s`), harm (a worker, what happens, on the way to the stream or the table, for how long, to how \
                       many requests: `harm 2 break stream 5s 50%`; what happens is break, hold, late, expired, throttle, error or \
                       odd), add, split, merge";

impl FromStr for Action {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut words = text.split_ascii_whitespace();
        let name = words.next().unwrap_or_default();
        let mut words = words.peekable();
        let number = words
            .next_if(|word| word.bytes().all(|byte| byte.is_ascii_digit()))
            .map(str::parse);
        let whom = match number
            .transpose()
            .map_err(|_| format!("`{text}`: expected the number of a worker"))?
        {
            Some(number) => Whom::Number(number),
            None => Whom::Oldest,
        };
        if name == "harm" {
            let trouble = trouble(words).ok_or_else(|| format!("`{text}`: expected {ALLOWED}"))?;
            return Ok(Self::Harm(whom, trouble));
        }
        let span = words.next().map(|word| {
            humantime::parse_duration(word).map_err(|error| format!("`{text}`: {error}"))
        });
        let span = span.transpose()?;
        let action = match name {
            "kill" => Self::Kill(whom),
            "restart" => Self::Restart(whom),
            "freeze" => Self::Freeze(whom, span),
            "stop" => Self::Stop(whom),
            "add" => Self::Add,
            "split" => Self::Split,
            "merge" => Self::Merge,
            _ => return Err(format!("`{text}`: expected {ALLOWED}")),
        };
        let takes_nobody =
            matches!(action, Self::Add | Self::Split | Self::Merge) && whom != Whom::Oldest;
        if takes_nobody
            || span.is_some() && !matches!(action, Self::Freeze(..))
            || words.next().is_some()
        {
            return Err(format!("`{text}`: too many words; expected {ALLOWED}"));
        }
        Ok(action)
    }
}

/// `break stream 5s 50%`.
fn trouble<'a>(mut words: impl Iterator<Item = &'a str>) -> Option<Trouble> {
    let harm = Harm::from_str(words.next()?, false).ok()?;
    let service = match words.next()? {
        "stream" => HarmedService::Stream,
        "table" => HarmedService::Table,
        _ => return None,
    };
    let span = humantime::parse_duration(words.next()?).ok()?;
    let percent = words
        .next()?
        .strip_suffix('%')?
        .parse()
        .ok()
        .filter(|percent| (1..=100).contains(percent))?;
    (words.next().is_none() && !(harm == Harm::Odd && service == HarmedService::Table)).then_some(
        Trouble {
            harm,
            service,
            span,
            percent,
        },
    )
}

/// As it is read.
impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, whom) = match self {
            Self::Kill(whom) => ("kill", Some(whom)),
            Self::Restart(whom) => ("restart", Some(whom)),
            Self::Freeze(whom, _) => ("freeze", Some(whom)),
            Self::Stop(whom) => ("stop", Some(whom)),
            Self::Harm(whom, _) => ("harm", Some(whom)),
            Self::Add => ("add", None),
            Self::Split => ("split", None),
            Self::Merge => ("merge", None),
        };
        f.write_str(name)?;
        if let Some(Whom::Number(number)) = whom {
            write!(f, " {number}")?;
        }
        match self {
            Self::Freeze(_, Some(span)) => write!(f, " {}ms", span.as_millis()),
            Self::Harm(_, trouble) => write!(f, " {trouble}"),
            _ => Ok(()),
        }
    }
}

/// As it is read, with a step a line.
impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|(time, action)| writeln!(f, "{}ms {action};", time.as_millis()))
    }
}

impl FromStr for Script {
    type Err = String;

    /// `TIME ACTION; TIME ACTION`, with times since the fleet was settled.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut steps = Vec::new();
        for step in text
            .split(';')
            .map(str::trim)
            .filter(|step| !step.is_empty())
        {
            let (time, action) = step
                .split_once(' ')
                .ok_or_else(|| format!("`{step}`: expected TIME ACTION, as in `10s kill 1`"))?;
            let time = humantime::parse_duration(time)
                .map_err(|error| format!("`{step}`: {error}; expected as in `10s kill 1`"))?;
            steps.push((time, action.parse()?));
        }
        steps.sort_by_key(|(time, _)| *time);
        Ok(Self(steps))
    }
}
