//! Explores one history from one start: every order in which workers and reshards can take turns. A
//! state is what is in the table and what was read; each step leads to the states that may follow.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use crate::decide::shards::{
    Begin, Finished, Leases, NewLease, ParentGate, ParentView, ShardGraph, children_to_create,
    gate, holes, judge_finished, leases_to_create, listing_for, shard_gone,
};
use crate::model::{
    Checkpoint, Facts, Lease, LeaseKey, Position, SequenceNumber, ShardId, Timestamp,
};
use crate::stream::ShardFilter;

use super::history::{History, InitialStart, ShardNode, ticks, time};

/// What matters of a lease here. Owners do not: any worker may make any step.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct TestRow {
    checkpoint: Checkpoint,
    /// The time at which a lease at `LATEST` or `AT_TIMESTAMP` begins.
    since: Option<Timestamp>,
    parents: Vec<ShardId>,
}

/// What can still go wrong in a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Faults {
    /// How many rows may still be deleted from outside.
    pub(super) deletes: u8,
    /// How many times all closed shards may still expire at once.
    pub(super) trims: u8,
}

/// Two orders of events that lead to equal states are explored once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct ReshardState {
    /// The current tick.
    now: u8,
    /// The oldest tick that is retained.
    horizon: u8,
    /// By shard.
    rows: Vec<Option<TestRow>>,
    /// By shard, the ticks that were read to the end. A bit for each tick.
    read: Vec<u8>,
    /// The shards that ever had a row. Without a fault, no row is ever created twice.
    made: u8,
    faults: Faults,
}

pub(super) struct Run<'a> {
    history: &'a History,
    start: InitialStart,
    faulty: bool,
    seen: BTreeSet<ReshardState>,
    /// Listings that were made already, by filter, time and horizon.
    listings: RefCell<BTreeMap<(u8, u8, u8), Rc<ShardGraph>>>,
}

impl Run<'_> {
    /// Tries everything from the first sync on, and returns how many states there are.
    pub(super) fn explore(history: &History, start: InitialStart, faults: Faults) -> usize {
        let shards = history.nodes.len();
        let first = ReshardState {
            now: start.at,
            horizon: start.horizon,
            rows: vec![None; shards],
            read: vec![0; shards],
            made: 0,
            faults: Faults::default(),
        };
        let mut run = Run {
            history,
            start,
            faulty: faults != Faults::default(),
            seen: BTreeSet::new(),
            listings: RefCell::default(),
        };
        // Nothing can go wrong, and no time passes, before the first row is there: the application
        // begins with it.
        let rows = leases(history, &first);
        let mut ahead: Vec<ReshardState> = run
            .syncs(&first, &by_shard(&rows))
            .into_iter()
            .map(|state| ReshardState { faults, ..state })
            .collect();
        assert!(!ahead.is_empty(), "nothing begins");
        while let Some(state) = ahead.pop() {
            if run.seen.contains(&state) {
                continue;
            }
            let next = run.next(&state);
            if next.is_empty() {
                run.check_end(&state);
            }
            ahead.extend(next);
            run.seen.insert(state);
        }
        run.seen.len()
    }

    /// All states that may follow this one. None means that everything is over.
    fn next(&self, state: &ReshardState) -> Vec<ReshardState> {
        let rows = leases(self.history, state);
        let leases = by_shard(&rows);
        let listing = self.list(&ShardFilter::All, state);
        let mut next = self.syncs(state, &leases);
        if next.is_empty() && !self.faulty {
            assert_eq!(
                holes(leases.values().copied(), &listing),
                [],
                "nothing is missing and yet: {self}"
            );
        }
        if state.now < self.history.reshards {
            next.push(ReshardState {
                now: state.now + 1,
                ..state.clone()
            });
        }
        if state.faults.trims > 0 && state.horizon < state.now {
            let faults = Faults {
                trims: state.faults.trims - 1,
                ..state.faults
            };
            next.push(ReshardState {
                horizon: state.now,
                faults,
                ..state.clone()
            });
        }
        next.extend(self.cleanup(state, &listing, &leases));
        for node in 0..rows.len() {
            next.extend(self.steps(state, node, &listing, &leases));
        }
        next
    }

    /// What comparing the table with a listing leads to: all the rows that it creates, or the first
    /// of them and a crash.
    fn syncs(&self, state: &ReshardState, leases: &Leases<'_>) -> Vec<ReshardState> {
        let listing = self.list(&listing_for(self.start.initial, leases.is_empty()), state);
        let mut begin = Begin::new(self.start.initial, leases, time(state.now));
        if let Some(filter) = begin.second_listing().filter(|_| !leases.is_empty()) {
            begin = begin.with_open_then(
                self.list(&filter, state)
                    .shards()
                    .map(|shard| shard.id.clone()),
            );
        }
        let new = leases_to_create(&listing, leases, &begin);
        for (place, lease) in new.iter().enumerate() {
            let later = new[place..].iter().map(|later| &later.shard);
            assert!(
                later
                    .into_iter()
                    .all(|later| !lease.parents.contains(later)),
                "{new:?} has a child before its parent"
            );
        }
        let mut states = Vec::new();
        for crash in BTreeSet::from([1, new.len()])
            .into_iter()
            .filter(|rows| *rows > 0 && *rows <= new.len())
        {
            let mut state = state.clone();
            for lease in &new[..crash] {
                self.create(&mut state, lease);
            }
            states.push(state);
        }
        states
    }

    fn list(&self, filter: &ShardFilter, state: &ReshardState) -> Rc<ShardGraph> {
        let filter_key = match filter {
            ShardFilter::All => 100,
            ShardFilter::AtLatest => 101,
            ShardFilter::AtTrimHorizon => 102,
            ShardFilter::AtTimestamp(at) => u8::try_from(at.as_millis()).unwrap(),
        };
        let mut listings = self.listings.borrow_mut();
        let listing = listings.entry((filter_key, state.now, state.horizon));
        Rc::clone(
            listing.or_insert_with(|| Rc::new(self.history.list(filter, state.now, state.horizon))),
        )
    }

    fn create(&self, state: &mut ReshardState, lease: &NewLease) {
        let node = self
            .history
            .nodes
            .iter()
            .position(|node| node.id == lease.shard)
            .unwrap();
        assert!(state.rows[node].is_none(), "{lease:?} exists");
        assert!(
            self.faulty || state.made & (1 << node) == 0,
            "{lease:?} is made twice"
        );
        assert_eq!(lease.hash_range, self.history.nodes[node].keys);
        state.made |= 1 << node;
        let Lease {
            checkpoint,
            parents,
            facts,
            ..
        } = lease.to_lease(None);
        state.rows[node] = Some(TestRow {
            checkpoint,
            since: facts.start_at,
            parents,
        });
    }

    /// The first row that may go goes.
    fn cleanup(
        &self,
        state: &ReshardState,
        listing: &ShardGraph,
        leases: &Leases<'_>,
    ) -> Option<ReshardState> {
        let may_go = |lease: &&&Lease| match judge_finished(lease, listing, leases) {
            Finished::Delete(expect) => {
                assert!(
                    expect.holds(lease)
                        && lease.checkpoint.is_shard_end()
                        && !listing.contains(&lease.key.shard)
                );
                true
            }
            Finished::Keep(_) => false,
        };
        let id = &leases.values().find(may_go)?.key.shard;
        let node = self.history.nodes.iter().position(|node| node.id == *id)?;
        let mut cleaned = state.clone();
        cleaned.rows[node] = None;
        Some(cleaned)
    }

    /// What can happen to one row.
    fn steps(
        &self,
        state: &ReshardState,
        node: usize,
        listing: &ShardGraph,
        leases: &Leases<'_>,
    ) -> Vec<ReshardState> {
        let id = &self.history.nodes[node].id;
        let (Some(row), Some(lease)) = (&state.rows[node], leases.get(id)) else {
            return Vec::new();
        };
        let mut next = Vec::new();
        // Without any row the application would begin anew.
        if state.faults.deletes > 0 && leases.len() > 1 {
            let mut deleted = state.clone();
            deleted.faults.deletes -= 1;
            deleted.rows[node] = None;
            next.push(deleted);
        }
        if row.checkpoint.is_shard_end() {
            return next;
        }
        if let Some(gone) = shard_gone(lease, listing, leases) {
            next.push(self.after(state, node, &gone.create, 0));
            return next;
        }
        let begun = row.checkpoint.position().is_some();
        let view = |parent| ParentView {
            shard: parent,
            row: leases.get(parent).copied(),
            listed: listing.contains(parent),
        };
        if !begun
            && gate(lease, &row.parents.iter().map(view).collect::<Vec<_>>()) != ParentGate::Open
        {
            return next;
        }
        self.check_parents(state, node);
        if !begun {
            let mut begun = state.clone();
            if let Some(row) = &mut begun.rows[node] {
                row.checkpoint = Checkpoint::At(Position::from(SequenceNumber::from_u128(1)));
            }
            next.push(begun);
        }
        if let Some(closed) = self.history.nodes[node]
            .closed
            .filter(|closed| *closed <= state.now)
        {
            let since = row
                .since
                .map_or(0, |since| u8::try_from(since.as_millis()).unwrap());
            let children = children_to_create(id, &listing.child_shards(id));
            next.push(
                self.after(
                    state,
                    node,
                    &children,
                    ticks(
                        since
                            .max(self.history.nodes[node].opened)
                            .max(state.horizon),
                        closed,
                    ),
                ),
            );
        }
        next
    }

    /// The next step towards a shard's end: the first child that has no row yet gets one; if there
    /// is none, the end.
    fn after(
        &self,
        state: &ReshardState,
        node: usize,
        children: &[NewLease],
        read: u8,
    ) -> ReshardState {
        let mut state = state.clone();
        let has_row = |child: &NewLease| {
            self.history
                .nodes
                .iter()
                .zip(&state.rows)
                .any(|(node, row)| node.id == child.shard && row.is_some())
        };
        match children.iter().find(|child| !has_row(child)) {
            Some(child) => self.create(&mut state, child),
            None => {
                state.read[node] |= read;
                if let Some(row) = &mut state.rows[node] {
                    row.checkpoint = Checkpoint::ShardEnd;
                }
            }
        }
        state
    }

    /// The ticks of a shard that the application wants and the stream has.
    ///
    fn wanted(&self, state: &ReshardState, node: usize) -> u8 {
        let ShardNode { opened, closed, .. } = self.history.nodes[node];
        let first = self.start.first_tick().max(state.horizon).max(opened);
        ticks(first, closed.unwrap_or(self.history.reshards + 1))
    }

    /// A shard may be read only when everything that is wanted of its parents was.
    fn check_parents(&self, state: &ReshardState, node: usize) {
        for parent in &self.history.nodes[node].parents {
            let left = self.wanted(state, *parent) & !state.read[*parent];
            assert_eq!(
                left, 0,
                "shard {node} is read before its parent {parent}: {self}\n{state:?}"
            );
        }
    }

    /// At the end everything wanted was read, and without a fault nothing else.
    fn check_end(&self, state: &ReshardState) {
        assert_eq!(state.now, self.history.reshards);
        for (node, shard) in self.history.nodes.iter().enumerate() {
            let wanted = self.wanted(state, node);
            let read = match (&state.rows[node], shard.closed) {
                (Some(row), None) => {
                    let since = row
                        .since
                        .map_or(0, |since| u8::try_from(since.as_millis()).unwrap());
                    ticks(
                        since.max(shard.opened).max(state.horizon),
                        self.history.reshards + 1,
                    )
                }
                (Some(row), Some(_)) => {
                    assert!(
                        row.checkpoint.is_shard_end(),
                        "shard {node} never ends: {self}\n{state:?}"
                    );
                    state.read[node]
                }
                (None, _) => state.read[node],
            };
            assert_eq!(
                wanted & !read,
                0,
                "a gap in shard {node}: {self}\n{state:?}"
            );
            if !self.faulty {
                assert_eq!(
                    read & !wanted,
                    0,
                    "shard {node} is read from before the position: {self}\n{state:?}"
                );
            }
        }
    }
}

impl std::fmt::Display for Run<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{:?}", self.start)?;
        for node in &self.history.nodes {
            writeln!(
                f,
                "  {} from {:?}, open from {} to {:?}",
                node.id, node.parents, node.opened, node.closed
            )?;
        }
        Ok(())
    }
}

fn by_shard(rows: &[Option<Lease>]) -> Leases<'_> {
    rows.iter()
        .flatten()
        .map(|row| (row.key.shard.clone(), row))
        .collect()
}

fn leases(history: &History, state: &ReshardState) -> Vec<Option<Lease>> {
    let lease = |(node, row): (&ShardNode, &Option<TestRow>)| {
        let row = row.as_ref()?;
        let mut lease = Lease::new(LeaseKey::single(node.id.clone()), row.checkpoint.clone());
        lease.parents.clone_from(&row.parents);
        let facts = Facts {
            start_at: row.since,
            ..Facts::default()
        };
        lease.facts = facts.passed_by(&row.checkpoint).unwrap_or(facts);
        lease.hash_range = Some(node.keys);
        Some(lease)
    };
    history.nodes.iter().zip(&state.rows).map(lease).collect()
}
