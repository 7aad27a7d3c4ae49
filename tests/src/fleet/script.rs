use std::fmt;
use std::str::FromStr;
use std::time::Duration;

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
                       time: `freeze 2 10s`), add, split, merge";

impl FromStr for Action {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut words = text.split_ascii_whitespace();
        let name = words.next().unwrap_or_default();
        let mut words = words.peekable();
        let number = words.next_if(|word| word.bytes().all(|byte| byte.is_ascii_digit())).map(str::parse);
        let whom = match number.transpose().map_err(|_| format!("`{text}`: no worker has this number"))? {
            Some(number) => Whom::Number(number),
            None => Whom::Oldest,
        };
        let span = words.next().map(|word| humantime::parse_duration(word).map_err(|error| format!("`{text}`: {error}")));
        let span = span.transpose()?;
        let action = match name {
            "kill" => Self::Kill(whom),
            "restart" => Self::Restart(whom),
            "freeze" => Self::Freeze(whom, span),
            "stop" => Self::Stop(whom),
            "add" => Self::Add,
            "split" => Self::Split,
            "merge" => Self::Merge,
            _ => return Err(format!("`{text}`: allowed are {ALLOWED}")),
        };
        let takes_nobody = matches!(action, Self::Add | Self::Split | Self::Merge) && whom != Whom::Oldest;
        if takes_nobody || span.is_some() && !matches!(action, Self::Freeze(..)) || words.next().is_some() {
            return Err(format!("`{text}`: there is too much; allowed are {ALLOWED}"));
        }
        Ok(action)
    }
}

impl FromStr for Script {
    type Err = String;

    /// `TIME ACTION; TIME ACTION`, with times since the fleet was settled.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut steps = Vec::new();
        for step in text.split(';').map(str::trim).filter(|step| !step.is_empty()) {
            let (time, action) =
                step.split_once(' ').ok_or_else(|| format!("`{step}`: allowed is TIME ACTION, as in `10s kill 1`"))?;
            let time =
                humantime::parse_duration(time).map_err(|error| format!("`{step}`: {error}; allowed is as in `10s kill 1`"))?;
            steps.push((time, action.parse()?));
        }
        steps.sort_by_key(|(time, _)| *time);
        Ok(Self(steps))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_read_and_put_in_the_order_of_time() {
        let script: Script = "20s add; 10s kill 1; 1500ms freeze 2 7s;30s split ; 40s stop;".parse().unwrap();
        let millis: Vec<_> = script.0.iter().map(|(time, _)| time.as_millis()).collect();
        assert_eq!(millis, [1500, 10_000, 20_000, 30_000, 40_000]);
        let actions: Vec<_> = script.0.into_iter().map(|(_, action)| action).collect();
        let freeze = Action::Freeze(Whom::Number(2), Some(Duration::from_secs(7)));
        assert_eq!(actions, [freeze, Action::Kill(Whom::Number(1)), Action::Add, Action::Split, Action::Stop(Whom::Oldest)]);
        assert_eq!("".parse(), Ok(Script::default()));
    }

    #[test]
    fn what_is_no_step_is_named_with_what_is_allowed() {
        for wrong in ["kill 1", "10 kill 1", "10s", "10s burn", "10s add 3", "10s kill 1 2s", "10s freeze 1 2s 3", "10s kill one"]
        {
            let said = wrong.parse::<Script>().unwrap_err();
            assert!(said.contains("allowed") || said.contains("expected"), "{wrong}: {said}");
        }
    }
}
