//! `kcl serve`: a page that shows fleets live, and what Prometheus, KEDA and scripts read.
//!
//! ```text
//!   lease table --> Watcher, at a fixed pace -----+--> Snapshot --> /api, /metrics, /scale
//!   stream -------> LagAsker, at a slower pace ---+            +--> Live --> every open page
//! ```
//!
//! There is one [`Watcher`] and at most one [`LagAsker`] an application; what is asked of the
//! program reads the last [`Snapshot`](snapshot::Snapshot) and never the table. Only a [`Changer`]
//! writes, and only with `--allow-changes`.
//!
//! Tasks: one per watcher, asker and changer, owned by a set that ends with the program. If one of
//! them ends by itself, the program ends with an error: a page that silently shows an old fleet is
//! worse than none.
//!
//! What it costs a table and a stream depends on `--every` and `--lag-every` alone, not on how many
//! pages are open or how often Prometheus scrapes.

mod changes;
mod figures;
mod files;
mod happening;
mod history;
mod hosts;
mod lag_round;
mod letters;
mod routes;
mod scale;
mod snapshot;
mod token;
mod tree;
mod watcher;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use kcl_core::{Clock as _, SystemClock};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::arguments::{StandstillArguments, StreamOfArguments};
use crate::commands::lags::AskOf;
use crate::failure::{Ended, Failure};
use crate::parse;
use crate::say::Output;
use crate::table_at::{OpenTable, TableAt};
use changes::Changer;
use hosts::Hosts;
use lag_round::{LagAsker, LagState};
use letters::LetterWatcher;
use routes::{Shown, Site};
use scale::ScaleRules;
use token::ChangeToken;
use watcher::Watcher;

/// Serves a page that shows applications live, until SIGTERM or Ctrl-C. It only reads, except with
/// --allow-changes.
///
/// Besides the page at / there are /api/... (JSON, as of --json), /metrics for Prometheus, /scale
/// for KEDA, and /healthz; docs/cli.md lists them. The table is read at a fixed pace, however many
/// pages are open. The first line on standard output is the address.
///
/// It has no login. It listens on loopback and answers only to loopback names and those of
/// --allow-host, so that no foreign page in a browser can read it. With --address, everybody who
/// reaches the port sees everything.
///
/// With --allow-changes, the page can pause, resume, seek, move and drain, after a confirmation, for those who know
/// a token: the one in --token-file, or else one that is made at the start and printed on standard
/// error.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  kcl serve billing --lease-table dynamo
  kcl serve billing orders --port 8080
  kcl serve billing --table sqlite:leases.sqlite --no-lag
  kcl serve billing --allow-changes
  kcl serve billing --dead-letters /var/lib/billing/dead.jsonl
  kcl serve billing --every 10s --lag-every 1m           for a large table that costs money
  kcl serve billing --address 0.0.0.0 --allow-host kcl   in a cluster, behind the service `kcl`")]
pub(crate) struct ServeOptions {
    /// The names of the applications.
    #[arg(value_name = "APP", required = true)]
    applications: Vec<String>,
    /// Where the leases are: sqlite:PATH, dynamo or dynamo:TABLE, the same for all applications.
    /// Default: as for the other commands.
    #[arg(
        long,
        visible_alias = "table",
        value_name = "sqlite:PATH|dynamo[:TABLE]"
    )]
    lease_table: Option<TableAt>,
    /// The URL of DynamoDB, with --lease-table dynamo. Default: AWS_ENDPOINT_URL_DYNAMODB,
    /// AWS_ENDPOINT_URL, or AWS itself.
    #[arg(long, value_name = "URL", value_parser = parse::endpoint)]
    dynamo_endpoint: Option<String>,
    /// The port; 0 picks a free one.
    #[arg(long, default_value_t = 7878)]
    port: u16,
    /// The address to listen on.
    #[arg(long, value_name = "ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    address: IpAddr,
    /// Answers to this host name too. May be given several times.
    #[arg(long, value_name = "NAME", value_parser = hosts::name)]
    allow_host: Vec<String>,
    /// Lets the page change something, for those who know the token.
    #[arg(long)]
    allow_changes: bool,
    /// The file with the token, a word of at least 16 characters. Default: a new one at each start.
    #[arg(long, value_name = "FILE", requires = "allow_changes")]
    token_file: Option<PathBuf>,
    /// The time from one reading of the table to the next; at least 200ms.
    #[arg(long, value_name = "SPAN", default_value = "1s", value_parser = parse::span)]
    every: Duration,
    /// The time from one measurement of the lag to the next; at least 1s. Each lists the shards, and
    /// asks those of which no worker says it for one GetRecords, of the five per second that all
    /// readers of a shard share.
    #[arg(long, value_name = "SPAN", default_value = "5s", value_parser = parse::span)]
    lag_every: Duration,
    /// Shows the dead letters in this file, as `JsonLines` writes it: one application's, without what is
    /// in the records. May be given several times: each process writes its own.
    #[arg(long, value_name = "FILE")]
    dead_letters: Vec<PathBuf>,
    /// Does not ask the stream: the lag is what the workers say, and not known of leases that nobody
    /// holds.
    #[arg(long, conflicts_with = "stream")]
    no_lag: bool,
    /// Asks the stream about each lease, also where a worker says how far behind it is. That shows
    /// what has expired unread, too.
    #[arg(long, conflicts_with = "no_lag")]
    ask_stream: bool,
    #[command(flatten)]
    standstill: StandstillArguments,
    #[command(flatten)]
    stream: StreamOfArguments,
    #[command(flatten)]
    scale: ScaleArguments,
}

/// What `/scale` goes by: the arithmetic is in [`scale`].
#[derive(Args, Clone, Copy, Debug)]
struct ScaleArguments {
    /// For /scale: how many shards one worker reads with ease. Measure it; 8 is a guess.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..))]
    shards_per_worker: u32,
    /// For /scale: a lease that is less far behind asks for no worker. It should be longer than the
    /// time between two checkpoints.
    #[arg(long, value_name = "SPAN", default_value = "1m", value_parser = parse::span)]
    tolerate_behind: Duration,
    /// For /scale: the time within which a lease that is further behind should have caught up.
    #[arg(long, value_name = "SPAN", default_value = "10m", value_parser = parse::span)]
    catch_up_within: Duration,
    /// For /scale: never fewer workers than this.
    #[arg(long, value_name = "N", default_value_t = 1)]
    min_workers: usize,
    /// For /scale: never more workers than this.
    #[arg(long, value_name = "N", default_value_t = 1000)]
    max_workers: usize,
}

/// The shortest time between two readings: each is a scan of the whole table.
const FASTEST: Duration = Duration::from_millis(200);
/// The shortest time between two measurements: more would take a fifth of what a shard allows its
/// readers.
const FASTEST_LAG: Duration = Duration::from_secs(1);
/// How long requests that are being answered may take at the end.
const GRACE: Duration = Duration::from_secs(2);

impl ScaleArguments {
    /// The rules in the form in which they are computed with.
    fn rules(self) -> ScaleRules {
        ScaleRules {
            shards_per_worker: f64::from(self.shards_per_worker),
            tolerated: self.tolerate_behind,
            catch_up_within: self.catch_up_within,
            min: self.min_workers,
            max: self.max_workers,
        }
    }
}

impl ServeOptions {
    /// Watches and serves until the first signal.
    ///
    /// The port is opened before the tables are: an address in use is found at once. Every
    /// application must be readable at the start, so that a mistyped name is an error; a table that
    /// fails later is shown with its error and tried again.
    ///
    /// # Errors
    /// The port is in use, an application is not in the table or was given twice, or an observer
    /// has ended.
    pub(crate) async fn run(self) -> Result<Ended, Failure> {
        let signal = kcl_core::stop_signal()
            .map_err(|error| Failure::new("cannot wait for Ctrl-C", error))?;
        let listener = self.listen().await?;
        let address = listener
            .local_addr()
            .map_err(|error| Failure::new("cannot listen", error))?;
        let token = self.token()?;
        if !self.dead_letters.is_empty() && self.applications.len() > 1 {
            return Err(Failure::of(
                "--dead-letters shows the letters of one application: expected one APP",
            ));
        }
        let (end, ending) = watch::channel(false);
        let mut tasks = JoinSet::new();
        let mut shown = Vec::new();
        for application in &self.applications {
            if shown
                .iter()
                .any(|it: &Shown| it.table.application == *application)
            {
                return Err(Failure::of(format!("`{application}` was given twice")));
            }
            shown.push(self.show(application, &mut tasks, &ending).await?);
        }
        if let Some(token) = token.as_ref().filter(|_| self.token_file.is_none()) {
            eprintln!("The token for changes is {}", token.text());
        }
        let letters = (!self.dead_letters.is_empty()).then(|| {
            let (letters, watcher) = LetterWatcher::new(&self.dead_letters);
            tasks.spawn(watcher.run());
            letters
        });
        let router = routes::router(Site {
            shown: shown.into(),
            hosts: Hosts::new(&self.allow_host),
            letters,
            token,
            ending: ending.clone(),
        });
        Output::now(&format!("http://{address}"))?;
        let mut stopping = ending.clone();
        let serving = axum::serve(listener, router).with_graceful_shutdown(async move {
            // The sender outlives the server, so that this ends for no other reason.
            let _ = stopping.wait_for(|ending| *ending).await;
        });
        let stop = async {
            let _ = signal.await;
            end.send_replace(true);
            SystemClock.sleep_until(SystemClock.now() + GRACE).await;
        };
        tokio::select! {
            biased;
            served = serving => {
                served.map_err(|error| Failure::new("cannot serve any longer", error))?;
            }
            () = stop => {}
            Some(ended) = tasks.join_next() => {
                let why = ended.err().map_or_else(String::new, |error| format!(": {error}"));
                return Err(Failure::of(format!("an observer ended unexpectedly{why}")));
            }
        }
        Ok(Ended::Well)
    }

    /// The token, if something may be changed.
    fn token(&self) -> Result<Option<ChangeToken>, Failure> {
        match &self.token_file {
            _ if !self.allow_changes => Ok(None),
            Some(path) => ChangeToken::of_file(path).map(Some),
            None => ChangeToken::random().map(Some),
        }
    }

    /// Opens the port. The usual mistake, a second `kcl serve`, gets a hint.
    async fn listen(&self) -> Result<TcpListener, Failure> {
        let at = SocketAddr::new(self.address, self.port);
        TcpListener::bind(at).await.map_err(|error| {
            let hint = match error.kind() {
                std::io::ErrorKind::AddrInUse => {
                    ": the port is taken; use --port with another one, or 0 for a free one"
                }
                _ => "",
            };
            Failure::new(format!("cannot listen on {at}{hint}"), error)
        })
    }

    /// Starts to watch an application.
    ///
    /// Its first look is made here, so that the page has something to show from its first request
    /// on.
    async fn show(
        &self,
        application: &str,
        tasks: &mut JoinSet<()>,
        ending: &watch::Receiver<bool>,
    ) -> Result<Shown, Failure> {
        let place = self.lease_table.clone();
        let endpoint = self.dynamo_endpoint.as_deref();
        let table = OpenTable::open(application, place, endpoint, false).await?;
        if self.allow_changes {
            // A file of an older version cannot store a pause.
            let ready = table.table.setup().await;
            ready.map_err(|error| table.failed(error))?;
        }
        let table = Arc::new(table);
        let (tell, lag) = watch::channel(LagState::Err("not measured yet".to_owned()));
        let (every, lag_every) = (self.every.max(FASTEST), self.lag_every.max(FASTEST_LAG));
        let rules = self.scale.rules();
        let stuck_after = self.standstill.stuck_after;
        let watcher = Watcher::start(
            Arc::clone(&table),
            every,
            lag_every,
            stuck_after,
            rules,
            lag,
        );
        let (watcher, snapshots) = watcher.await?;
        tasks.spawn(watcher.run());
        let ask = match (self.no_lag, self.ask_stream) {
            (true, _) => None,
            (_, true) => Some(AskOf::All),
            (_, false) => Some(AskOf::Vague),
        };
        let asker = LagAsker {
            table: Arc::clone(&table),
            stream: self.stream.clone(),
            every: lag_every,
            ask,
            snapshots: snapshots.clone(),
            tell,
        };
        tasks.spawn(asker.run());
        let (desk, changer) = Changer::new(
            Arc::clone(&table),
            snapshots.clone(),
            self.stream.clone(),
            ending.clone(),
        );
        tasks.spawn(changer.run());
        Ok(Shown {
            table,
            snapshots,
            desk,
        })
    }
}
