//! The notation of the text cases about shards, which is described at the top of each file of
//! cases.
//!
//! A case is a stream and a table at one moment. Hash keys are given in percent, times in
//! milliseconds:
//!
//! ```text
//!   shard 0 closed keys=0-99         a shard of the listing
//!   shard 1 from=0 keys=0-49
//!   lease 0 SHARD_END                a row of the table, with its checkpoint
//!   lease 1 TRIM_HORIZON after=0
//!   initial LATEST                   the configured position
//!   which leases are missing?        a question, which is answered
//! ```

use crate::decide::cases::setting;
use crate::model::{
    Checkpoint, Facts, HashKeyRange, InitialPosition, Lease, LeaseKey, Position, SequenceNumber,
    Shard, ShardId, Timestamp,
};

use crate::stream::ShardFilter;

use super::{
    Begin, Finished, Leases, NewLease, ParentGate, ParentView, ShardGraph, Wait,
    children_to_create, gate, holes, judge_finished, leases_to_create, listing_for, shard_gone,
};

/// What a case gives: a listing, rows, an initial position; and what it asks.
#[derive(Debug)]
pub(crate) struct ShardsCase {
    shards: Vec<Shard>,
    rows: Vec<Lease>,
    initial: InitialPosition,
    /// Set by a case that says itself what the position means.
    begin: Option<Begin>,
    /// The service's time; 900 unless the case says otherwise.
    now: Timestamp,
    /// The second listing, if the case gives one.
    open_then: Option<Vec<ShardId>>,
    /// Answered all at once, when everything is given.
    questions: Vec<Vec<String>>,
}

/// One percent of all hash keys, rounded up, so that 100 of them cover the whole range.
const UNIT: u128 = u128::MAX / 100 + 1;

/// `20-49`: the hash keys from 20 % to just below 50 %.
fn keys(text: &str) -> HashKeyRange {
    let (from, to) = text.split_once('-').expect("FROM-TO");
    let (from, to): (u128, u128) = (from.parse().unwrap(), to.parse().unwrap());
    HashKeyRange::new(
        from * UNIT,
        if to == 99 {
            u128::MAX
        } else {
            (to + 1) * UNIT - 1
        },
    )
    .unwrap()
}

/// The range in the form that [`keys`] reads.
fn percents(range: HashKeyRange) -> String {
    format!("{}-{}", range.start() / UNIT, range.end() / UNIT)
}

fn ids(text: &str) -> Vec<ShardId> {
    text.split('+').map(ShardId::from).collect()
}

fn names(ids: &[ShardId]) -> String {
    ids.iter()
        .map(ShardId::as_str)
        .collect::<Vec<_>>()
        .join("+")
}

fn time(text: &str) -> Timestamp {
    Timestamp::from_millis(text.parse().unwrap())
}

fn checkpoint(text: &str) -> Checkpoint {
    match text {
        "AT_TIMESTAMP" => Checkpoint::AtTimestamp,
        "TRIM_HORIZON" => Checkpoint::TrimHorizon,
        "LATEST" => Checkpoint::Latest,
        "SHARD_END" => Checkpoint::ShardEnd,
        number => Checkpoint::At(Position::from(number.parse::<SequenceNumber>().unwrap())),
    }
}

fn shard(words: &[&str]) -> Shard {
    let mut shard = Shard::new(words[0], HashKeyRange::WHOLE);
    for word in &words[1..] {
        match setting(word) {
            ("from", parents) => shard.parents = ids(parents),
            ("keys", range) => shard.hash_range = keys(range),
            ("closed", _) => shard.closed = true,
            other => panic!("what is {other:?} of a shard?"),
        }
    }
    shard
}

fn row(words: &[&str]) -> Lease {
    let mut row = Lease::new(LeaseKey::single(words[0]), checkpoint(words[1]));
    for word in &words[2..] {
        match setting(word) {
            ("after", parents) => row.parents = ids(parents),
            ("keys", range) => row.hash_range = Some(keys(range)),
            ("since", at) => {
                let facts = Facts {
                    start_at: Some(time(at)),
                    ..Facts::default()
                };
                row.facts = facts.passed_by(&row.checkpoint).unwrap_or(facts);
            }
            ("counter", counter) => row.counter = counter.parse().unwrap(),
            other => panic!("what is {other:?} of a lease?"),
        }
    }
    row
}

/// The filter in words, with the times of the case.
fn listing(filter: &ShardFilter) -> String {
    match filter {
        ShardFilter::All => "all shards".to_owned(),
        ShardFilter::AtLatest => "the open shards".to_owned(),
        ShardFilter::AtTrimHorizon => "the shards that were open at the trim horizon".to_owned(),
        ShardFilter::AtTimestamp(at) => format!("the shards that were open at {}", at.as_millis()),
    }
}

fn write(new: &[NewLease]) -> String {
    if new.is_empty() {
        return "nothing to create".to_owned();
    }
    let line = |new: &NewLease| {
        let since = new
            .start_at
            .map(|at| format!(" since={}", at.as_millis()))
            .unwrap_or_default();
        let after = if new.parents.is_empty() {
            String::new()
        } else {
            format!(" after={}", names(&new.parents))
        };
        format!(
            "create {} {}{since}{after}, {}",
            new.shard, new.checkpoint, new.reason
        )
    };
    new.iter().map(line).collect::<Vec<_>>().join("\n")
}

impl ShardsCase {
    pub(crate) fn read(given: &[&str]) -> Self {
        let mut world = Self {
            shards: Vec::new(),
            rows: Vec::new(),
            initial: InitialPosition::TrimHorizon,
            begin: None,
            now: Timestamp::from_millis(900),
            open_then: None,
            questions: Vec::new(),
        };
        for line in given {
            let words: Vec<&str> = line.trim_end_matches('?').split_whitespace().collect();
            match words[..] {
                _ if line.ends_with('?') => world
                    .questions
                    .push(words.iter().map(|word| (*word).to_owned()).collect()),
                ["shard", ref rest @ ..] => world.shards.push(shard(rest)),
                ["lease", ref rest @ ..] => world.rows.push(row(rest)),
                ["initial", "TRIM_HORIZON"] => world.initial = InitialPosition::TrimHorizon,
                ["initial", "LATEST"] => world.initial = InitialPosition::Latest,
                ["initial", "AT_TIMESTAMP", at] => {
                    world.initial = InitialPosition::AtTimestamp(time(at));
                }
                ["LATEST", "means", "now"] => world.begin = Some(Begin::Latest { at: world.now }),
                ["open", "then", ref open @ ..] => {
                    world.open_then = Some(open.iter().map(|id| ShardId::from(*id)).collect());
                }
                ["now", at] => world.now = time(at),
                _ => panic!("what is `{line}`?"),
            }
        }
        world
    }

    fn leases(&self) -> Leases<'_> {
        self.rows
            .iter()
            .map(|row| (row.key.shard.clone(), row))
            .collect()
    }

    /// The answers, a line or some lines each.
    pub(crate) fn answer(&self) -> String {
        let graph = match ShardGraph::new(self.shards.iter().cloned()) {
            Ok(graph) => graph,
            Err(inconsistent) => return inconsistent.to_string(),
        };
        let answer = |question: &Vec<String>| {
            let words: Vec<&str> = question.iter().map(String::as_str).collect();
            match words[..] {
                ["which", "listing"] => listing(&listing_for(self.initial, self.rows.is_empty())),
                ["which", "second", "listing"] => self
                    .begin()
                    .second_listing()
                    .as_ref()
                    .map_or_else(|| "none".to_owned(), listing),
                ["which", "leases", "are", "missing"] => {
                    write(&leases_to_create(&graph, &self.leases(), &self.begin()))
                }
                ["what", "follows", parent] => write(&children_to_create(
                    &parent.into(),
                    &graph.child_shards(&parent.into()),
                )),
                ["has", shard, "gone"] => self.gone(&graph, &shard.into()),
                ["may", shard, "be", "read"] => self.gate(&graph, &shard.into()),
                ["may", shard, "be", "deleted"] => self.cleanup(&graph, &shard.into()),
                ["which", "keys", "are", "read", "by", "nobody"] => {
                    let holes = holes(&self.rows, &graph);
                    if holes.is_empty() {
                        "none".to_owned()
                    } else {
                        holes
                            .into_iter()
                            .map(percents)
                            .collect::<Vec<_>>()
                            .join(" ")
                    }
                }
                _ => panic!("what is {question:?}?"),
            }
        };
        self.questions
            .iter()
            .map(answer)
            .collect::<Vec<_>>()
            .join("\n")
    }

    fn begin(&self) -> Begin {
        let begin = self
            .begin
            .clone()
            .unwrap_or_else(|| Begin::new(self.initial, &self.leases(), self.now));
        match &self.open_then {
            Some(open) => begin.with_open_then(open.iter().cloned()),
            None => begin,
        }
    }

    fn row(&self, shard: &ShardId) -> &Lease {
        self.rows
            .iter()
            .find(|row| row.key.shard == *shard)
            .expect("a lease of the case")
    }

    /// Whether the shard of a lease has left the stream: the gap and what is created.
    fn gone(&self, graph: &ShardGraph, shard: &ShardId) -> String {
        match shard_gone(self.row(shard), graph, &self.leases()) {
            None => "no".to_owned(),
            Some(gone) => format!("{}\n{}", gone.gap, write(&gone.create)),
        }
    }

    /// Whether the shard may be read, and otherwise what it waits for.
    fn gate(&self, graph: &ShardGraph, shard: &ShardId) -> String {
        let (lease, leases) = (self.row(shard), self.leases());
        let view = |parent| ParentView {
            shard: parent,
            row: leases.get(parent).copied(),
            listed: graph.contains(parent),
        };
        match gate(lease, &lease.parents.iter().map(view).collect::<Vec<_>>()) {
            ParentGate::Open => "yes".to_owned(),
            ParentGate::Blocked {
                by,
                wait: Wait::Unfinished,
            } => format!("no, {by} is not finished"),
            ParentGate::Blocked {
                by,
                wait: Wait::Missing,
            } => format!("no, {by} is listed and has no lease"),
        }
    }

    /// Whether the row may be deleted, and under which condition.
    fn cleanup(&self, graph: &ShardGraph, shard: &ShardId) -> String {
        match judge_finished(self.row(shard), graph, &self.leases()) {
            Finished::Keep(why) => format!("no, {why}"),
            Finished::Delete(expect) => {
                let counter = expect
                    .counter
                    .map_or_else(|| "any".to_owned(), |counter| counter.to_string());
                format!(
                    "yes, while its counter is {counter} and its checkpoint {}",
                    expect.checkpoint.expect("a condition")
                )
            }
        }
    }
}
