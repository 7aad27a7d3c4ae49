//! The notation of the text cases about the fleet, which is described at the top of each file of
//! cases.
//!
//! A case is a small world with one observer, `ME`. Times are seconds, leases are numbers, tokens
//! are letters:
//!
//! ```text
//!   F 10                             the failover time
//!   me ME room=4 moves=2             this worker, and its limits
//!   leases 1-3 of A 5/a              rows: the owner, the counter, the token
//!   worker A 7                       a row of a worker, and its counter
//!   looks 0 to 20 while A renews     scans, with heartbeats in between
//!   plan at 20?                      a question, which is answered
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::decide::assignment::{Me, is_duplicated, plan};
use crate::decide::cases::setting;
use crate::decide::expiry::Timing;
use crate::decide::fleet::{HandedOver, LeaseEntries, OwnTokens};
use crate::decide::hand_over::{HandOverVerdict, judge_request};
use crate::lease::{KeepAlive, WorkerRow};
use crate::model::{
    Assignee, Capacity, Checkpoint, Lease, LeaseKey, Moment, Throughput, Timestamp, WorkerId,
};

mod plan_text;

use super::Members;

/// What one worker sees of a fleet, and what it knows about itself.
#[derive(Debug)]
pub(crate) struct MembersCase {
    /// Of this worker; 10 s unless the case says otherwise.
    timing: Timing,
    me: WorkerId,
    /// How many more leases it may hold: as good as unlimited by default.
    room: usize,
    moves: usize,
    leaving: bool,
    passive: bool,
    stole: Option<Moment>,
    former_left: bool,
    /// What a worker declares where nothing else is said; `None` in a fleet that balances by count.
    usual: Option<Capacity>,
    /// What this worker declares.
    capacity: Option<Capacity>,
    uneven_since: Option<Moment>,
    /// The table as it is now. The observer learns of it only by a scan or by `see`.
    rows: BTreeMap<LeaseKey, Lease>,
    workers: BTreeMap<WorkerId, WorkerRow>,
    /// What the observer has seen so far.
    members: Members,
    /// What this worker is doing with the leases.
    own: LeaseEntries,
    tokens: CaseTokens,
    /// In the order of the questions.
    answers: Vec<String>,
}

/// The tenancies of a case. Every lease of this worker with a token that is not listed as foreign
/// belongs to this process.
#[derive(Debug, Default)]
struct CaseTokens {
    /// Leases that name this worker for the tenancy of another process.
    foreign: BTreeSet<LeaseKey>,
    /// Leases of this process without a consumer.
    abandoned: BTreeSet<LeaseKey>,
}

impl OwnTokens for CaseTokens {
    fn is_ours(&self, row: &Lease) -> bool {
        !self.foreign.contains(&row.key)
    }

    fn is_abandoned(&self, row: &Lease) -> bool {
        self.abandoned.contains(&row.key)
    }
}

/// A comma may follow, so that a line reads as a sentence.
pub(crate) fn seconds(text: &str) -> Moment {
    let seconds = text
        .trim_end_matches(',')
        .parse()
        .unwrap_or_else(|_| panic!("`{text}` is no number of seconds"));
    Moment::from_origin(Duration::from_secs_f64(seconds))
}

/// The reverse, with milliseconds only where there are any.
pub(crate) fn at(moment: Moment) -> String {
    let millis = moment.since_origin().as_millis();
    if millis.is_multiple_of(1000) {
        (millis / 1000).to_string()
    } else {
        format!("{}.{:03}", millis / 1000, millis % 1000)
    }
}

/// `1` or `1-16` or `1,4,7`.
fn keys(text: &str) -> Vec<LeaseKey> {
    let part = |part: &str| match part.split_once('-') {
        Some((from, to)) => (from.parse::<u32>().unwrap()..=to.parse().unwrap())
            .map(|key| key.to_string())
            .collect(),
        None => vec![part.to_owned()],
    };
    text.split(',')
        .flat_map(part)
        .map(LeaseKey::single)
        .collect()
}

/// In the order of their numbers.
fn names<'a>(keys: impl IntoIterator<Item = &'a LeaseKey>) -> String {
    let mut names: Vec<String> = keys.into_iter().map(ToString::to_string).collect();
    names.sort_by_key(|name| (name.len(), name.clone()));
    names.join(" ")
}

impl MembersCase {
    /// Does what the lines say, one after the other; a line that ends with `?` is answered.
    pub(crate) fn tell(given: &[&str]) -> String {
        Self::tell_of(given, None)
    }

    /// The same, of workers that declare a capacity of 1.
    pub(crate) fn tell_by_load(given: &[&str]) -> String {
        Self::tell_of(given, Some(Capacity::of_cores(1)))
    }

    fn tell_of(given: &[&str], usual: Option<Capacity>) -> String {
        let mut world = Self {
            timing: Timing::for_failover(Duration::from_secs(10)),
            me: "ME".into(),
            room: 1000,
            moves: 8,
            leaving: false,
            passive: false,
            stole: None,
            former_left: false,
            usual,
            capacity: usual,
            uneven_since: None,
            rows: BTreeMap::new(),
            workers: BTreeMap::new(),
            members: Members::default(),
            own: LeaseEntries::default(),
            tokens: CaseTokens::default(),
            answers: Vec::new(),
        };
        for line in given {
            let words: Vec<&str> = line.split_whitespace().collect();
            if let Some(question) = line.strip_suffix('?') {
                let answer = world.answer(&question.split_whitespace().collect::<Vec<_>>());
                world.answers.push(answer);
            } else if !world.state(&words) && !world.happens(&words) {
                panic!("what is `{line}`?");
            }
        }
        world.answers.join("\n")
    }

    /// What there is. Returns whether the line is such a statement.
    fn state(&mut self, words: &[&str]) -> bool {
        match *words {
            ["F", failover] => self.timing = Timing::for_failover(seconds(failover).since_origin()),
            ["me", me, ref settings @ ..] => {
                self.me = me.into();
                for word in settings {
                    match setting(word) {
                        ("room", room) => self.room = room.parse().unwrap(),
                        ("moves", moves) => self.moves = moves.parse().unwrap(),
                        ("leaving", _) => self.leaving = true,
                        ("passive", _) => self.passive = true,
                        ("former-left", _) => self.former_left = true,
                        ("capacity", capacity) => self.capacity = declared(capacity),
                        other => panic!("what is {other:?} of me?"),
                    }
                }
            }
            ["lease" | "leases", which, ref rest @ ..] => {
                for key in keys(which) {
                    let row = lease(key.clone(), rest);
                    self.rows.insert(key, row);
                }
            }
            ["worker", id, counter, ref settings @ ..] => {
                let mut row = WorkerRow::new(id.into(), "1".into(), self.timing.failover);
                row.counter = counter.parse().unwrap();
                row.capacity = self.usual;
                for word in settings {
                    match setting(word) {
                        ("F", failover) => row.failover = seconds(failover).since_origin(),
                        ("process", process) => row.incarnation = process.into(),
                        ("capacity", capacity) => row.capacity = declared(capacity),
                        ("audits", audits) => row.audits = audits.parse().unwrap(),
                        ("leaving", _) => row.leaving = true,
                        ("draining", _) => row.drains = Some(1),
                        ("heartbeats", _) => row.keep_alive = KeepAlive::Heartbeats,
                        ("renewals", _) => row.keep_alive = KeepAlive::Renewals,
                        ("killed", _) => row = row.killed(),
                        other => panic!("what is {other:?} of a worker?"),
                    }
                }
                self.workers.insert(id.into(), row);
            }
            ["no", "worker", id] => drop(self.workers.remove(&id.into())),
            ["no", "lease", which] => keys(which)
                .iter()
                .for_each(|key| drop(self.rows.remove(key))),
            ["busy", which] => keys(which).iter().for_each(|key| self.own.take(key)),
            ["handler", "in", which] => {
                for key in keys(which) {
                    self.own.hold(&key, true);
                    self.own.writer_ended(&key);
                }
            }
            ["of", "another", "process", which] => self.tokens.foreign.extend(keys(which)),
            ["abandoned", which] => self.tokens.abandoned.extend(keys(which)),
            ["refused", which] => {
                let late = Moment::from_origin(Duration::from_secs(1_000_000));
                keys(which)
                    .iter()
                    .for_each(|key| self.own.refuse(key, late));
            }
            ["asked", of, "for", which, "at", since] => {
                for key in keys(which) {
                    self.own.request(&key, of.into(), seconds(since));
                    self.own.request_answered(&key, true, seconds(since));
                }
            }
            ["uneven", "since", when] => self.uneven_since = Some(seconds(when)),
            ["stole", "at", when] => self.stole = Some(seconds(when)),
            [ref answering @ .., "answer" | "answers"] => {
                self.members
                    .see_answering(answering.iter().map(|id| WorkerId::from(*id)));
            }
            ["passed", "on", which, "at", moment] => {
                for key in keys(which) {
                    let handed_over = HandedOver {
                        counter: self.rows[&key].counter,
                        at: seconds(moment),
                    };
                    self.own.hand_over(&key, handed_over);
                }
            }
            _ => return false,
        }
        true
    }

    /// What happens. Returns whether the line is such an event.
    fn happens(&mut self, words: &[&str]) -> bool {
        match *words {
            ["look", "at", when] => self.look(seconds(when), seconds(when)),
            ["look", "at", begun, "to", ended] => self.look(seconds(begun), seconds(ended)),
            ["looks", from, "to", to, ref rest @ ..] => {
                let (mut when, last) = (seconds(from), seconds(to));
                while when <= last {
                    match *rest {
                        ["while", ref renewing @ .., "renew" | "renews"] => self.renew(renewing),
                        ["while", id, "beats"] => self.beat(id),
                        _ => {}
                    }
                    self.look(when, when);
                    when = when + self.timing.look;
                }
            }
            ["the", "look", "fails"] => self.members.failed(),
            [ref renewing @ .., "renew" | "renews"] => self.renew(renewing),
            [id, "beats"] => self.beat(id),
            ["see", "lease", which, "at", when] => {
                keys(which)
                    .iter()
                    .for_each(|key| self.members.see(&self.rows[key], seconds(when)));
            }
            ["see", "worker", id, "at", when] => match self.workers.get(&id.into()) {
                Some(row) => self.members.see_worker(row, seconds(when)),
                None => self.members.see_no_worker(&id.into(), seconds(when)),
            },
            _ => return false,
        }
        true
    }

    /// The worker's own row moves, and none of its leases.
    fn beat(&mut self, id: &str) {
        if let Some(row) = self.workers.get_mut(&id.into()) {
            *row = row.next();
        }
    }

    /// A scan of the whole table. Rows that are written while it lasts are not modelled: the case
    /// writes before or after it.
    fn look(&mut self, begun: Moment, ended: Moment) {
        let (rows, workers): (Vec<_>, Vec<_>) = (
            self.rows.values().cloned().collect(),
            self.workers.values().cloned().collect(),
        );
        self.members
            .look(&rows, &workers, begun, ended, &self.timing);
    }

    /// Each of these moves what it can: the leases that it works on, and its row. It does not touch
    /// leases that were handed over to it and are not claimed.
    fn renew(&mut self, workers: &[&str]) {
        for worker in workers.iter().map(|worker| WorkerId::from(*worker)) {
            let rows = self
                .rows
                .values_mut()
                .filter(|row| row.actual_owner() == Some(&worker));
            rows.for_each(|row| row.counter += 1);
            self.workers
                .get_mut(&worker)
                .into_iter()
                .for_each(|row| row.counter += 1);
        }
    }

    /// The answer to a question, as a line or several.
    fn answer(&self, words: &[&str]) -> String {
        let members = &self.members;
        match *words {
            ["plan", "at", when] => self.plan(seconds(when)),
            ["who", "lives", "at", when] => {
                let live = members.live(seconds(when), &self.timing);
                if live.is_empty() {
                    "nobody".to_owned()
                } else {
                    live.iter()
                        .map(WorkerId::as_str)
                        .collect::<Vec<_>>()
                        .join(" ")
                }
            }
            ["when", "does", which, "expire"] => {
                let row = &self.rows[&LeaseKey::single(which)];
                let expires = members.lease(row).expires_at(members, &self.timing);
                expires.map_or_else(
                    || "it does not".to_owned(),
                    |when| format!("at {}", at(when)),
                )
            }
            ["what", "is", "killed", "for", which] => {
                let row = &self.rows[&LeaseKey::single(which)];
                let killed = members.lease(row).held_by_heartbeats_of(members);
                killed.map_or_else(
                    || "nothing".to_owned(),
                    |row| format!("{} {}", row.worker, row.counter),
                )
            }
            ["when", "did", id, "last", "live"] => members
                .last_life(&id.into())
                .map_or_else(|| "never".to_owned(), |when| format!("at {}", at(when))),
            ["is", "there", "another", "of", "me"] => {
                let twice = self.with_me(|me| {
                    self.rows
                        .values()
                        .any(|row| is_duplicated(members.lease(row), me))
                });
                (if twice { "yes" } else { "no" }).to_owned()
            }
            [id, "asks", "at", when, ref rest @ ..] => {
                let cooling = rest.contains(&"cooling");
                match judge_request(
                    &id.into(),
                    members,
                    cooling,
                    self.leaving,
                    seconds(when),
                    &self.timing,
                ) {
                    HandOverVerdict::PassOn => "pass it on".to_owned(),
                    HandOverVerdict::Refuse(reason) => format!("refuse: {reason}"),
                    HandOverVerdict::Release => "release it".to_owned(),
                    HandOverVerdict::AskTable => format!("read the row of {id} first"),
                }
            }
            _ => panic!("what is `{words:?}`?"),
        }
    }

    /// What this worker knows is put together anew for each question, because a case may change
    /// rows without a scan.
    fn with_me<T>(&self, of: impl FnOnce(&Me<'_>) -> T) -> T {
        let mut leases = self.own.clone();
        for row in self.rows.values() {
            leases.see(row.clone(), Moment::default());
        }
        of(&Me {
            id: &self.me,
            room: self.room,
            max_moves: self.moves,
            capacity: self.capacity,
            uneven_since: self.uneven_since,
            leaving: self.leaving,
            passive: self.passive,
            stole: self.stole,
            former_left: self.former_left,
            leases: &leases,
            tokens: &self.tokens,
        })
    }

    fn plan(&self, now: Moment) -> String {
        plan_text::write(&self.with_me(|me| plan(me, &self.members, now, &self.timing)))
    }
}

/// `4`, `0.5` or, of a worker that declares nothing, `none`. Nonsense is taken as from a row.
fn declared(text: &str) -> Option<Capacity> {
    (text != "none").then(|| {
        let capacity: f64 = text.parse().expect("a number");
        Capacity::new(capacity).unwrap_or(Capacity::MOST)
    })
}

/// `of A 5/a`, `of B from A 5/a`, `free 5`; then perhaps `finished`, `paused`, `assigned B`, `switches 1`, and
/// `load 500`, in KiB per second, with `records 30`, per second.
pub(crate) fn lease(key: LeaseKey, words: &[&str]) -> Lease {
    let mut row = Lease::new(key, Checkpoint::TrimHorizon);
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match *word {
            "of" => row.owner = words.next().map(|id| WorkerId::from(*id)),
            "from" => row.checkpoint_owner = words.next().map(|id| WorkerId::from(*id)),
            "free" => row.owner = None,
            "paused" => row.paused_at = Some(Timestamp::from_millis(1)),
            "assigned" => {
                let to = words.next().expect("a worker");
                let (worker, process) = to.split_once('/').unwrap_or((to, "1"));
                row.assigned_to = Some(Assignee::new(worker.into(), process.into()));
            }
            "load" => {
                let kib: u64 = words.next().and_then(|kib| kib.parse().ok()).expect("KiB");
                row.throughput = Some(Throughput {
                    bytes: kib * 1024,
                    records: 0,
                });
            }
            "records" => {
                let records = words.next().and_then(|records| records.parse().ok());
                let records = records.expect("records");
                row.throughput.get_or_insert_default().records = records;
            }
            "finished" => row.checkpoint = Checkpoint::ShardEnd,
            "switches" => {
                row.owner_switches = words
                    .next()
                    .and_then(|count| count.parse().ok())
                    .expect("a count");
            }
            counter => {
                let (counter, token) = counter
                    .split_once('/')
                    .map_or((counter, None), |(counter, token)| (counter, Some(token)));
                row.counter = counter
                    .parse()
                    .unwrap_or_else(|_| panic!("what is `{counter}` of a lease?"));
                row.token = token.map(Into::into);
            }
        }
    }
    row
}
