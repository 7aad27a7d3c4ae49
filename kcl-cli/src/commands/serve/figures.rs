//! What Prometheus scrapes: the fleet as its table shows it, one series a figure.
//!
//! Names begin with `kcl_fleet_`, because workers export series of their own that begin with
//! `kcl_`. A figure that is not known is absent and not 0, so that an alert on it does not go by a
//! guess; a count of something that there is none of is 0.
//!
//! What is labelled by lease or by owner is bounded: leases one by one only up to [`LISTED`], and
//! owners by the size of the fleet. Everything else is a handful of series per application.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use kcl_core::admin::{LeaseState, Level, Life, Stuck};

use super::snapshot::Snapshot;

/// With more unfinished leases than this, their lags are not listed one by one: so many series
/// for each application are more than a Prometheus is glad of.
const LISTED: usize = 1000;

/// A family of series in the text format.
struct Family {
    /// The name of the series; units are in it, as Prometheus wants it.
    name: &'static str,
    /// `gauge` or `counter`.
    kind: &'static str,
    /// What stands above the series, and in the documentation.
    help: &'static str,
    /// The series of all applications so far: the format wants the series of a family in one piece,
    /// so they are gathered before anything is written.
    lines: String,
}

/// The text for these applications.
///
/// A family without a series is left out.
pub(super) fn text<'a>(all: impl Iterator<Item = (&'a str, &'a Snapshot)>) -> String {
    let mut families = families();
    for (application, snapshot) in all {
        add(&mut families, application, snapshot);
    }
    let mut text = String::new();
    for family in families.iter().filter(|it| !it.lines.is_empty()) {
        let Family {
            name,
            kind,
            help,
            lines,
        } = family;
        // A `String` takes everything that is written to it.
        let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{lines}");
    }
    text
}

/// All families in the order of the text, without series.
///
/// The counters begin at 0 with this program and not with the fleet; the functions of Prometheus
/// take that for a restart of what they count.
fn families() -> Vec<Family> {
    let family = |(name, kind, help)| Family {
        name,
        kind,
        help,
        lines: String::new(),
    };
    [
        (
            "kcl_fleet_up",
            "gauge",
            "Whether the lease table could be read when it was last tried, 1 or 0.",
        ),
        (
            "kcl_fleet_looked_timestamp_seconds",
            "gauge",
            "When the lease table was last read, in seconds since 1970.",
        ),
        (
            "kcl_fleet_look_seconds",
            "gauge",
            "How long the last reading of the lease table took.",
        ),
        (
            "kcl_fleet_looks_total",
            "counter",
            "Readings of the whole lease table since kcl serve began.",
        ),
        (
            "kcl_fleet_workers",
            "gauge",
            "Workers, by whether they are alive.",
        ),
        (
            "kcl_fleet_leases",
            "gauge",
            "Leases, by the worker that holds them and by state.",
        ),
        // By the holder that the row names, whether or not there is a worker of that name: those of
        // a dead one are its own until they are taken. A lease without a holder has an empty owner.
        (
            "kcl_fleet_leases_stuck",
            "gauge",
            "Unfinished leases that make no progress, by the reason.",
        ),
        (
            "kcl_fleet_leases_waiting",
            "gauge",
            "Leases that wait for a parent shard to be finished.",
        ),
        (
            "kcl_fleet_rows_malformed",
            "gauge",
            "Rows of the lease table that cannot be read.",
        ),
        (
            "kcl_fleet_findings",
            "gauge",
            "What kcl check finds, by level (problem, note) and kind.",
        ),
        (
            "kcl_fleet_behind_seconds",
            "gauge",
            "How far the lease that is furthest behind is behind: as its worker says or, where no \
             worker does, the age of its first record that is not done.",
        ),
        (
            "kcl_fleet_lease_behind_seconds",
            "gauge",
            "How far each lease is behind; at most, where its worker names others that are further \
             behind. Absent for applications of more than 1000 unfinished leases.",
        ),
        (
            "kcl_fleet_lag_unknown",
            "gauge",
            "Unfinished leases of which neither a worker nor the stream says how far behind they \
             are.",
        ),
        (
            "kcl_fleet_checkpoints_total",
            "counter",
            "Changed checkpoints that were seen since kcl serve began, at most one a lease and look.",
        ),
        (
            "kcl_fleet_hand_overs_total",
            "counter",
            "Leases that went from one living worker to another since kcl serve began.",
        ),
        (
            "kcl_fleet_take_overs_total",
            "counter",
            "Leases that were taken from a worker that had died or let them expire, since kcl \
             serve began.",
        ),
        (
            "kcl_fleet_get_records_total",
            "counter",
            "GetRecords calls that kcl serve has made to measure the lag.",
        ),
        (
            "kcl_fleet_wanted_workers",
            "gauge",
            "How many workers the fleet should have: what /scale says.",
        ),
    ]
    .map(family)
    .into()
}

/// Adds the series of one application.
fn add(families: &mut [Family], application: &str, snapshot: &Snapshot) {
    let (fleet, totals) = (&snapshot.fleet, snapshot.totals);
    let mut put = |name: &str, labels: &[(&str, &str)], value: f64| {
        let family = families.iter_mut().find(|it| it.name == name);
        // The names below are those above: a test compares them.
        if let Some(family) = family {
            line(&mut family.lines, name, application, labels, value);
        }
    };
    // How the last try ended. A watcher that hangs in a call does not show here, but in the time of
    // the last look, which stands still.
    let is_up = if snapshot.error.is_none() { 1.0 } else { 0.0 };
    put("kcl_fleet_up", &[], is_up);
    let looked = snapshot.looked_at.as_millis() as f64 / 1000.0;
    put("kcl_fleet_looked_timestamp_seconds", &[], looked);
    put("kcl_fleet_look_seconds", &[], snapshot.took.as_secs_f64());
    put("kcl_fleet_looks_total", &[], totals.looks as f64);
    for life in [Life::Alive, Life::Leaving, Life::Unknown, Life::Dead] {
        let count = fleet.workers.iter().filter(|it| it.life == life).count();
        let name = life_name(life);
        put("kcl_fleet_workers", &[("life", name)], count as f64);
    }
    // Sorted, so that two answers about the same fleet are equal: a scraper compresses them, and a
    // person compares them.
    let mut leases: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut stuck: BTreeMap<&str, usize> = BTreeMap::new();
    for lease in &fleet.leases {
        let owner = lease.holder.as_ref().map_or("", |holder| holder.as_str());
        *leases.entry((owner, state_name(lease.state))).or_default() += 1;
        if let Some(why) = &lease.stuck {
            *stuck.entry(reason(why)).or_default() += 1;
        }
    }
    for ((owner, state), count) in leases {
        let labels = [("owner", owner), ("state", state)];
        put("kcl_fleet_leases", &labels, count as f64);
    }
    // Each of them, also 0: an alert on a series that comes and goes does not see it end.
    for why in REASONS {
        let count = stuck.get(why).copied().unwrap_or_default();
        put("kcl_fleet_leases_stuck", &[("reason", why)], count as f64);
    }
    // Beside the stuck ones and not among them: waiting for a parent is what a child shard does.
    let waits = fleet.leases.iter().filter(|it| it.waits_for.is_some());
    put("kcl_fleet_leases_waiting", &[], waits.count() as f64);
    put(
        "kcl_fleet_rows_malformed",
        &[],
        fleet.malformed.len() as f64,
    );
    for ((level, kind), count) in snapshot.findings_by_kind() {
        let level = if level == Level::Problem {
            "problem"
        } else {
            "note"
        };
        let labels = [("level", level), ("kind", kind)];
        put("kcl_fleet_findings", &labels, count as f64);
    }
    // Before the first measurement there is neither the lag nor the number of calls, nor where nobody
    // says anything.
    if let Ok(round) = &snapshot.lag {
        let figures = round.figures();
        if let Some(behind) = figures.max_behind_seconds {
            put("kcl_fleet_behind_seconds", &[], behind);
        }
        // Beside the figure that it qualifies: 0 s behind means nothing while half of the leases
        // are unknown.
        put("kcl_fleet_lag_unknown", &[], figures.unknown as f64);
        if round.lags.len() <= LISTED {
            for lag in &round.lags {
                if let Some(behind) = lag.behind {
                    let lease = lag.lease.to_string();
                    let labels = [("lease", lease.as_str())];
                    put(
                        "kcl_fleet_lease_behind_seconds",
                        &labels,
                        behind.as_secs_f64(),
                    );
                }
            }
        }
        put(
            "kcl_fleet_get_records_total",
            &[],
            totals.get_records as f64,
        );
    }
    // Counted from the looks, so at most one a lease and look: what changed twice in between is
    // one.
    put(
        "kcl_fleet_checkpoints_total",
        &[],
        totals.checkpoints as f64,
    );
    put("kcl_fleet_hand_overs_total", &[], totals.hand_overs as f64);
    put("kcl_fleet_take_overs_total", &[], totals.take_overs as f64);
    let wanted = snapshot.wanted.wanted_workers;
    put("kcl_fleet_wanted_workers", &[], wanted as f64);
}

/// One series: name, labels, value. The label `application` comes first.
fn line(text: &mut String, name: &str, application: &str, labels: &[(&str, &str)], value: f64) {
    let _ = write!(text, "{name}{{application=\"{}\"", escaped(application));
    for (label, value) in labels {
        let _ = write!(text, ",{label}=\"{}\"", escaped(value));
    }
    let _ = writeln!(text, "}} {value}");
}

/// As the format wants it within quotes. The backslash comes first, as the other two bring new
/// ones.
fn escaped(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

/// The label of a worker's life: that of the JSON documents. One that the core adds later is
/// unknown here until it has a line.
const fn life_name(life: Life) -> &'static str {
    match life {
        Life::Alive => "alive",
        Life::Leaving => "leaving",
        Life::Dead => "dead",
        _ => "unknown",
    }
}

/// The label of a lease's state: that of the JSON documents.
const fn state_name(state: LeaseState) -> &'static str {
    match state {
        LeaseState::Held => "held",
        LeaseState::HandOver => "hand_over",
        LeaseState::HandedOver => "handed_over",
        LeaseState::Free => "free",
        LeaseState::Paused => "paused",
        LeaseState::Expired => "expired",
        _ => "ended",
    }
}

/// All reasons, so that a series of one is 0 and not absent while there is none.
const REASONS: [&str; 10] = [
    "no_live_worker",
    "holder_dead",
    "not_renewed",
    "not_taken",
    "not_claimed",
    "parent_malformed",
    "no_progress",
    "handler_fails",
    "handler_busy",
    "reads_fail",
];

/// The label of a reason: that of the JSON documents, as alerts are written by what the commands
/// show.
const fn reason(why: &Stuck) -> &'static str {
    match why {
        Stuck::NoLiveWorker => REASONS[0],
        Stuck::HolderDead { .. } => REASONS[1],
        Stuck::NotRenewed { .. } => REASONS[2],
        Stuck::NotTaken => REASONS[3],
        Stuck::NotClaimed { .. } => REASONS[4],
        Stuck::ParentMalformed { .. } => REASONS[5],
        Stuck::HandlerFails { .. } => REASONS[7],
        Stuck::HandlerBusy { .. } => REASONS[8],
        Stuck::ReadsFail { .. } => REASONS[9],
        _ => REASONS[6],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_cannot_end_its_quotes() {
        let mut text = String::new();
        line(
            &mut text,
            "kcl_fleet_up",
            "a\"b\\c\nd",
            &[("owner", "\"}")],
            1.0,
        );
        let expected = "kcl_fleet_up{application=\"a\\\"b\\\\c\\nd\",owner=\"\\\"}\"} 1\n";
        assert_eq!(text, expected);
    }

    /// An alarm on shards that nobody reads would count paused ones as finished.
    #[test]
    fn each_state_has_the_name_that_it_has_in_json() {
        for state in [
            LeaseState::Held,
            LeaseState::HandOver,
            LeaseState::HandedOver,
            LeaseState::Free,
            LeaseState::Paused,
            LeaseState::Expired,
            LeaseState::Ended,
        ] {
            let json = serde_json::to_value(state).unwrap();
            assert_eq!(json.as_str(), Some(state_name(state)));
        }
    }

    /// A figure that is put and not declared would be lost.
    #[test]
    fn each_figure_that_is_put_is_declared() {
        let source = include_str!("figures.rs");
        let names: Vec<&str> = families().iter().map(|it| it.name).collect();
        let put: Vec<&str> = source
            .split("put(")
            .skip(1)
            .filter_map(|rest| rest.trim_start().strip_prefix('"')?.split('"').next())
            .filter(|name| name.starts_with("kcl_"))
            .collect();
        assert!(put.iter().all(|name| names.contains(name)), "{put:?}");
        assert!(names.iter().all(|name| put.contains(name)), "{names:?}");
    }
}
