use std::fmt;
use std::time::Duration;

use clap::ValueEnum;

/// What may happen to a request on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Harm {
    /// The connection is closed: before the request has arrived, after it was carried out, or in
    /// the middle of the answer.
    Break,
    /// The request is carried out at once and its answer is held back.
    Hold,
    /// The request itself is held back, and arrives even when the process that sent it is gone.
    Late,
    /// The service says that the credentials have expired.
    Expired,
    /// The service says that there were too many requests.
    Throttle,
    /// The service says that it failed: status 500 as JSON, or 503 as HTML.
    Error,
    /// `GetRecords` is answered with `{}`: neither records nor where to go on. Other requests pass.
    Odd,
}

/// One of the services that a worker process talks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HarmedService {
    /// The embedded stream.
    Stream,
    /// DynamoDB. There is no way to a lease table in `SQLite` that could be harmed.
    Table,
}

/// A harm, for some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// What happens.
    pub harm: Harm,
    /// On the way to which service.
    pub service: HarmedService,
    /// For how long.
    pub span: Duration,
    /// To how many of 100 requests.
    pub percent: u8,
}

impl fmt::Display for Harm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Break => "break",
            Self::Hold => "hold",
            Self::Late => "late",
            Self::Expired => "expired",
            Self::Throttle => "throttle",
            Self::Error => "error",
            Self::Odd => "odd",
        })
    }
}

impl fmt::Display for HarmedService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stream => "stream",
            Self::Table => "table",
        })
    }
}

/// As a script has it: `break stream 2s 50%`.
impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            harm,
            service,
            span,
            percent,
        } = self;
        write!(f, "{harm} {service} {}ms {percent}%", span.as_millis())
    }
}
