//! The leases as a tree of shards, a page of it at a time.
//!
//! A browser cannot draw ten thousand lines, so the page asks for what it shows. A filtered list
//! has no depth: the parents of a lease may not be in it.

use std::collections::{BTreeMap, BTreeSet};

use kcl_core::admin::{FleetView, LeaseState, LeaseView};
use kcl_core::model::{HashKeyRange, LeaseKey};
use serde::Serialize;

use super::snapshot::Snapshot;
use crate::commands::leases::note;

/// Which leases are wanted, and which page of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Wish {
    /// How many leases are skipped.
    pub(super) from: usize,
    /// How many leases are wanted.
    pub(super) limit: Option<usize>,
    /// Only leases in this state, as named in JSON.
    pub(super) state: Option<String>,
    /// Only leases that this worker holds.
    pub(super) holder: Option<String>,
    /// Only leases that are stuck.
    pub(super) stuck: bool,
    /// A part of the lease's key or of its holder's name.
    pub(super) find: Option<String>,
}

/// A page of the tree.
///
/// `found` and `from` let the page draw a scroll bar for lines that it does not have.
#[derive(Debug, Serialize)]
pub(super) struct TreePage<'a> {
    /// Whose leases they are.
    application: &'a str,
    /// When the table was read, in milliseconds since 1970: the page says how old it is.
    looked_at: i64,
    /// How many leases pass the filter.
    found: usize,
    from: usize,
    /// The lines of this page, in the order of the tree.
    lines: Vec<TreeLine<'a>>,
}

/// A lease in the tree.
#[derive(Debug, Serialize)]
struct TreeLine<'a> {
    /// The key of the lease.
    lease: String,
    /// How many parents with leases lie above it; 0 where the lines are filtered.
    depth: usize,
    state: LeaseState,
    /// Where its hash keys begin and end, as parts of all.
    keys: Option<[f64; 2]>,
    /// The worker that reads the shard, if one does.
    holder: Option<&'a str>,
    /// The worker that has requested it, or has not claimed it yet.
    awaited_by: Option<&'a str>,
    /// How far behind it is, if that is known.
    behind_seconds: Option<f64>,
    /// Whether it may be less far behind.
    at_most: bool,
    /// The stored checkpoint, as text: a sequence number is more than a number in JavaScript can
    /// hold.
    checkpoint: String,
    /// When it was last seen to store a checkpoint.
    checkpointed_at: Option<i64>,
    /// What `kcl leases` says beside it.
    note: String,
    /// Whether it makes no progress; the note says why.
    is_stuck: bool,
}

/// How many lines a page has if the query does not say.
const LINES: usize = 50;
/// How many lines a page has at most.
const MOST: usize = 500;

impl Wish {
    /// Reads the query of a URL.
    ///
    /// # Errors
    /// An unknown parameter, a number that is none, or an unknown state; the text says what is
    /// expected. A mistyped filter that was ignored would show everything.
    pub(super) fn read(query: &str) -> Result<Self, String> {
        let mut wish = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let number = || {
                let wrong = |_| format!("`{name}` is `{value}`: expected a whole number");
                value.parse::<usize>().map_err(wrong)
            };
            let text = || Some(value.to_string()).filter(|text| !text.is_empty());
            match &*name {
                "from" => wish.from = number()?,
                "limit" => wish.limit = Some(number()?),
                "state" => wish.state = text(),
                "holder" => wish.holder = text(),
                "find" => wish.find = text(),
                "stuck" => wish.stuck = matches!(&*value, "" | "1" | "true"),
                _ => {
                    return Err(format!(
                        "there is no parameter `{name}`: expected from, limit, state, holder, find \
                         or stuck"
                    ));
                }
            }
        }
        if let Some(state) = &wish.state
            && !STATES.iter().any(|it| name(*it) == *state)
        {
            let all: Vec<String> = STATES.iter().map(|it| name(*it)).collect();
            return Err(format!("`state` is `{state}`: expected {}", all.join(", ")));
        }
        Ok(wish)
    }

    /// Whether a lease passes the filter.
    pub(super) fn wants(&self, lease: &LeaseView) -> bool {
        let holder = lease.holder.as_ref().map(kcl_core::model::WorkerId::as_str);
        let finds = |text: &String| {
            lease.lease.key.to_string().contains(text)
                || holder.is_some_and(|holder| holder.contains(text))
        };
        (!self.stuck || lease.stuck.is_some())
            && self
                .state
                .as_ref()
                .is_none_or(|state| *state == name(lease.state))
            && (self.holder.is_none() || holder == self.holder.as_deref())
            && self.find.as_ref().is_none_or(finds)
    }

    /// The part of the leases that is wanted; all of them if there is no limit.
    ///
    /// An API client that wants everything leaves the limit out; the page always gives one.
    pub(super) fn page<'a>(&self, leases: Vec<&'a LeaseView>) -> Vec<&'a LeaseView> {
        let limit = self.limit.unwrap_or(usize::MAX);
        leases.into_iter().skip(self.from).take(limit).collect()
    }

    /// Whether nothing is filtered, so that the lines are a tree.
    fn is_all(&self) -> bool {
        !self.stuck && self.state.is_none() && self.holder.is_none() && self.find.is_none()
    }
}

/// All states, in the order in which a lease goes through them.
const STATES: [LeaseState; 7] = [
    LeaseState::Held,
    LeaseState::HandOver,
    LeaseState::HandedOver,
    LeaseState::Free,
    LeaseState::Paused,
    LeaseState::Expired,
    LeaseState::Ended,
];

/// A state as it stands in JSON.
fn name(state: LeaseState) -> String {
    state.to_string().replace(['-', ' '], "_")
}

impl<'a> TreePage<'a> {
    /// A page of the tree as it was at the last look.
    pub(super) fn new(application: &'a str, snapshot: &'a Snapshot, wish: &Wish) -> Self {
        let all = tree(&snapshot.fleet);
        let found: Vec<(&LeaseView, usize)> = all
            .into_iter()
            .filter(|(lease, _)| wish.wants(lease))
            .collect();
        let limit = wish.limit.unwrap_or(LINES).min(MOST);
        let page = found.iter().skip(wish.from).take(limit);
        let is_all = wish.is_all();
        Self {
            application,
            looked_at: snapshot.looked_at.as_millis(),
            found: found.len(),
            from: wish.from,
            lines: page
                .map(|(lease, depth)| line(snapshot, lease, if is_all { *depth } else { 0 }))
                .collect(),
        }
    }
}

/// One lease with what the lag and the history say about it.
fn line<'a>(snapshot: &'a Snapshot, view: &'a LeaseView, depth: usize) -> TreeLine<'a> {
    let key = &view.lease.key;
    let pace = snapshot
        .lag
        .as_ref()
        .ok()
        .and_then(|round| round.paces.get(key));
    let worker = |id: &'a Option<kcl_core::model::WorkerId>| {
        id.as_ref().map(kcl_core::model::WorkerId::as_str)
    };
    TreeLine {
        lease: key.to_string(),
        depth,
        state: view.state,
        keys: view.lease.hash_range.map(parts),
        holder: worker(&view.holder),
        awaited_by: worker(&view.awaited_by),
        behind_seconds: pace.map(|pace| pace.behind.as_secs_f64()),
        at_most: pace.is_some_and(|pace| pace.at_most),
        checkpoint: view.lease.checkpoint.to_string(),
        checkpointed_at: snapshot.checkpointed.get(key).map(|at| at.as_millis()),
        note: note(view),
        is_stuck: view.stuck.is_some(),
    }
}

/// The hash key range as parts of the whole, for drawing.
fn parts(range: HashKeyRange) -> [f64; 2] {
    let part = |key: u128| key as f64 / u128::MAX as f64;
    [part(range.start()), part(range.end())]
}

/// The leases, each below the first of its parents that has a lease, with how deep it stands. A
/// row that is its own ancestor stands at the end.
///
/// It is not recursive: the depth of a tree is the number of reshards, which nobody limits.
fn tree(fleet: &FleetView) -> Vec<(&LeaseView, usize)> {
    let by_key: BTreeMap<&LeaseKey, &LeaseView> =
        fleet.leases.iter().map(|it| (&it.lease.key, it)).collect();
    let mut below: BTreeMap<LeaseKey, Vec<&LeaseView>> = BTreeMap::new();
    let mut roots = Vec::new();
    for view in &fleet.leases {
        let parents = view.lease.parents.iter();
        let mut known = parents
            .map(|parent| view.lease.key.sibling(parent.clone()))
            .filter(|parent| by_key.contains_key(parent));
        match known.next() {
            Some(parent) => below.entry(parent).or_default().push(view),
            None => roots.push(view),
        }
    }
    let mut all = Vec::with_capacity(fleet.leases.len());
    let mut shown = BTreeSet::new();
    // A stack, as a stream may have been split any number of times.
    let mut ahead: Vec<(&LeaseView, usize)> = roots.into_iter().rev().map(|it| (it, 0)).collect();
    while let Some((view, depth)) = ahead.pop() {
        if shown.insert(&view.lease.key) {
            all.push((view, depth));
            let children = below.get(&view.lease.key).into_iter().flatten();
            ahead.extend(children.rev().map(|child| (*child, depth + 1)));
        }
    }
    let is_left = |view: &&LeaseView| !shown.contains(&view.lease.key);
    all.extend(fleet.leases.iter().filter(is_left).map(|view| (view, 0)));
    all
}

#[cfg(test)]
#[path = "tree_test.rs"]
mod tests;
