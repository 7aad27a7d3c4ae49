use std::fmt::Write;
use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use kcl_core::model::{Moment, ShardId};
use kcl_core::{Clock, SystemClock};

use super::deed::What;
use super::fleet::Fleet;
use super::member::MemberState;

/// Shows who has which shard, on standard error: a table that changes on a terminal, a line for
/// each change elsewhere.
#[derive(Debug)]
pub(super) struct View {
    table: Option<ProgressBar>,
    begun: Moment,
    said: Moment,
    shown: String,
    /// Whether how far it is is told from time to time, in place of each change.
    soak: bool,
}

/// How far a soak is, so often.
const TOLD_EVERY: Duration = Duration::from_secs(10);
/// A line at most so often where there is no terminal.
const SAID_EVERY: Duration = Duration::from_millis(500);

impl View {
    /// Shows from now on.
    #[must_use]
    pub(super) fn new(soak: bool) -> Self {
        let table = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{msg}")
                .unwrap_or_else(|_| ProgressStyle::default_spinner());
            ProgressBar::new_spinner().with_style(style)
        });
        let now = SystemClock.now();
        Self {
            table,
            begun: now,
            said: now,
            shown: String::new(),
            soak,
        }
    }

    /// Says something in between.
    pub(super) fn say(&self, text: &str) {
        let text = format!(
            "{:>7.1} s  {text}",
            SystemClock.now().since(self.begun).as_secs_f64()
        );
        match &self.table {
            Some(table) => table.println(text),
            None => eprintln!("{text}"),
        }
    }

    /// Shows the fleet as it is; `chosen` is the worker that keys are for.
    pub(super) fn show(&mut self, fleet: &Fleet, chosen: Option<usize>) {
        if let Some(table) = &self.table {
            table.set_message(whole(fleet, chosen));
            return;
        }
        if self.soak {
            if SystemClock.now().since(self.said) >= TOLD_EVERY {
                self.said = SystemClock.now();
                self.say(&progress(fleet));
            }
            return;
        }
        let owners = owners(fleet);
        if owners != self.shown && SystemClock.now().since(self.said) >= SAID_EVERY {
            self.say(&owners);
            self.said = SystemClock.now();
            self.shown = owners;
        }
    }

    /// Takes the table away.
    pub(super) fn end(&self) {
        if let Some(table) = &self.table {
            table.finish_and_clear();
        }
    }
}

/// How far a soak is.
fn progress(fleet: &Fleet) -> String {
    let done = |what| {
        HumanCount(
            fleet
                .deeds()
                .iter()
                .filter(|deed| deed.what == what)
                .count() as u64,
        )
    };
    let (killed, frozen, ended) = (
        done(What::Killed),
        done(What::Frozen),
        fleet.ended_alone().count(),
    );
    let (put, given) = (
        HumanCount(fleet.producer().count()),
        HumanCount(fleet.history().given()),
    );
    let (workers, leases) = (fleet.working().count(), fleet.seen().live().count());
    format!(
        "-- {killed} kills, {frozen} freezes, {workers} workers, {leases} shards to read, {put} put, {given} handed out, {ended} ended \
         by themselves"
    )
}

/// `w1: 0 1 2 | w2: 3 4`.
fn owners(fleet: &Fleet) -> String {
    let alive = fleet
        .members()
        .iter()
        .enumerate()
        .filter(|(_, member)| !member.is_gone());
    let each =
        alive.map(|(place, member)| format!("{}: {}", member.name, shards(&fleet.owned_by(place))));
    let mut text = each.collect::<Vec<_>>().join(" | ");
    let free = fleet
        .seen()
        .live()
        .filter(|lease| lease.actual_owner().is_none())
        .count();
    if free > 0 {
        let _ = write!(text, " | free: {free}");
    }
    text
}

fn whole(fleet: &Fleet, chosen: Option<usize>) -> String {
    let (put, given) = (
        HumanCount(fleet.producer().count()),
        HumanCount(fleet.history().given()),
    );
    let mut text = format!(
        "\n{put} records put, {given} handed out\n\n   {:<8}{:<10}{:>12}  shards\n",
        "worker", "state", "records"
    );
    for (place, member) in fleet
        .members()
        .iter()
        .enumerate()
        .filter(|(_, member)| !member.is_gone())
    {
        let mark = if chosen == Some(place) { '>' } else { ' ' };
        let records = HumanCount(fleet.history().given_to(place) as u64).to_string();
        let (state, shards) = (word(member.state), shards(&fleet.owned_by(place)));
        let _ = writeln!(
            text,
            " {mark} {:<8}{state:<10}{records:>12}  {shards}",
            member.name
        );
    }
    let free = fleet
        .seen()
        .live()
        .filter(|lease| lease.actual_owner().is_none())
        .count();
    if free > 0 {
        let _ = writeln!(text, "   {free} shards have no owner");
    }
    text + "\n   1-9 choose  k kill  f freeze  t stop  r restart  a add  s split  m merge  q end\n"
}

pub(super) const fn word(state: MemberState) -> &'static str {
    match state {
        MemberState::Working => "working",
        MemberState::Frozen => "frozen",
        MemberState::Stopping => "ending",
        MemberState::Ended(_) => "ended",
    }
}

/// The shards without what all of them have in common.
fn shards(shards: &[ShardId]) -> String {
    let short = |shard: &ShardId| {
        let number = shard
            .as_str()
            .trim_start_matches("shardId-")
            .trim_start_matches('0');
        if number.is_empty() {
            "0".to_owned()
        } else {
            number.to_owned()
        }
    };
    shards.iter().map(short).collect::<Vec<_>>().join(" ")
}
