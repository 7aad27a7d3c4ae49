use std::collections::{BTreeMap, BTreeSet};

use kcl_core::lease::WorkerRow;
use kcl_core::model::{Lease, WorkerId};

use crate::sim::history::LifeId;
use crate::sim::runtime::At;
use crate::sim::truth::{StreamTruth, TableTruth};

use super::board::LifeInfo;
use super::fold::{See, Sink};
use super::judge::Judge;

/// How long a process may take from its start to its first look at the table, in milliseconds.
const STARTING: u64 = 15_000;

/// Whether a lease is one of a stream that was deleted: it stays as it was left.
fn is_deleted(row: &Lease, stream: &StreamTruth) -> bool {
    match stream.leased(&row.key) {
        Some((_, shard)) => shard.deleted,
        None => stream.is_of_deleted(&row.key),
    }
}

/// What has to be so when the faults are over, and at the very end.
impl Judge {
    /// Who holds too many or too few of the unfinished leases, if somebody does. So many workers have to
    /// live.
    pub(crate) fn unbalanced(
        &self,
        workers: usize,
        stream: &StreamTruth,
        table: &TableTruth,
    ) -> Option<String> {
        let held = self.held(stream, table);
        if held.len() != workers {
            return Some(format!("{} of {workers} workers live", held.len()));
        }
        let drained = self.drained(table);
        if let Some((life, count)) = held
            .iter()
            .find(|(life, count)| drained.contains(*life) && **count > 0)
        {
            return Some(format!("{life:?} is drained and holds {count} leases"));
        }
        let is_full = self.is_full(&held, &drained);
        for row in table
            .leases()
            .filter(|row| !row.checkpoint.is_shard_end() && !is_deleted(row, stream))
        {
            // What nobody has room for is left as it is, perhaps in a hand-over whose parties are
            // dead. What a worker held before it was drained may be among it by now.
            let unread = || {
                is_full
                    && (!drained.is_empty()
                        || stream
                            .leased(&row.key)
                            .is_some_and(|(index, _)| self.unread.contains(&index)))
            };
            let owned = self.owner_of(row, &held).is_some();
            if !owned && unread() {
                continue;
            }
            if let Some(worker) = self.is_moving(row, &held, &drained, table) {
                return Some(format!("{} is being moved to {worker}", row.key));
            }
            if row.checkpoint_owner.is_some() {
                return Some(format!("the hand-over of {} is still under way", row.key));
            }
            if !owned {
                return Some(format!("{} has no live owner", row.key));
            }
        }
        let most = held.values().copied().max()?;
        // Who is at its cap has what it can have.
        let has_its_share = |(life, count): (&LifeId, &usize)| {
            count + 1 >= most || *count >= self.cap_of(*life, &drained)
        };
        (!held.iter().all(has_its_share)).then(|| format!("leases are held like this: {held:?}"))
    }

    /// What is not done yet, in a healed world: nothing when every shard has a live owner, every
    /// record is done, and every closed shard is at its end. Where all workers hold as many leases
    /// as they may, shards are left unread.
    pub(crate) fn unfinished(
        &mut self,
        stream: &StreamTruth,
        table: &TableTruth,
    ) -> Option<String> {
        match self.find_unread(stream, table) {
            Ok(unread) => {
                self.unread = unread;
                None
            }
            Err(missing) => Some(missing),
        }
    }

    /// Which shards are not read for want of room, or what is not done.
    fn find_unread(
        &self,
        stream: &StreamTruth,
        table: &TableTruth,
    ) -> Result<BTreeSet<usize>, String> {
        let held = self.held(stream, table);
        let is_full = self.is_full(&held, &self.drained(table));
        let mut unread = BTreeSet::new();
        for (index, shard) in stream
            .shards()
            .iter()
            .enumerate()
            .filter(|(_, shard)| !shard.deleted)
        {
            let waits = shard.parents.iter().any(|parent| unread.contains(parent));
            let Some(row) = table.get(&shard.key) else {
                if waits {
                    // What follows it waits too, whether or not the shard itself has left
                    // meanwhile.
                    unread.insert(index);
                    continue;
                }
                // A shard that was closed before an application began at LATEST, or that left
                // unread, needs no lease.
                if (self.world.fleet.latest && !shard.is_open()) || shard.left.is_some() {
                    continue;
                }
                return Err(format!("{} has no lease", shard.key));
            };
            if row.checkpoint.is_shard_end() {
                continue;
            }
            if table.malformed() == Some(&shard.key) {
                unread.insert(index);
                continue;
            }
            let owned = self.owner_of(row, &held).is_some();
            if !owned && is_full {
                unread.insert(index);
                continue;
            }
            if waits {
                // Its lease was made when its parent's was lost between the last record and the
                // end.
                unread.insert(index);
                continue;
            }
            if !shard.is_open() {
                return Err(format!(
                    "{} is closed and its lease is at {} (owner {:?})",
                    shard.key, row.checkpoint, row.owner
                ));
            }
            if !owned {
                return Err(format!(
                    "{} has no live owner (owner {:?})",
                    shard.key, row.owner
                ));
            }
            let from = self.start_of(index, stream, table).max(shard.trimmed());
            if let Some(record) = self
                .board
                .progress_of(index)
                .first_not_done(from, shard.len())
            {
                return Err(format!(
                    "record {record} of {} is not done (owner {:?}, checkpoint {})",
                    shard.key, row.owner, row.checkpoint
                ));
            }
            if self.world.handlers.automatic()
                && shard.after(&row.checkpoint, &row.facts) < shard.len()
                && shard.len() > from
            {
                return Err(format!(
                    "{} is done and its checkpoint is still {}",
                    shard.key, row.checkpoint
                ));
            }
        }
        Ok(unread)
    }

    /// Which worker has not ended since `healed`, in a healed world of one stream that was made
    /// again.
    pub(crate) fn not_ended(&self, healed: At) -> Option<String> {
        let ended = |slot: &usize| {
            self.board
                .lives
                .values()
                .any(|life| life.slot == *slot && life.replaced.is_some_and(|at| at >= healed))
        };
        let slot = (0..self.world.fleet.workers).find(|slot| !ended(slot))?;
        Some(format!(
            "the stream was made again, and no process in place {slot} has ended for that"
        ))
    }

    /// A healed fleet is at rest: still nothing is unfinished, and what nobody has room for was
    /// said by somebody.
    pub(crate) fn at_rest(&mut self, at: At, stream: &StreamTruth, table: &TableTruth) {
        if let Some(missing) = self.unfinished(stream, table) {
            self.not_alive(at, missing);
        }
        let said = self
            .board
            .lives
            .values()
            .any(|life| life.alive && life.says_left);
        if !self.unread.is_empty() && !said {
            self.not_alive(
                at,
                format!(
                    "{} shards are unread for want of room, and nobody says so",
                    self.unread.len()
                ),
            );
        }
    }

    /// Somebody says by now that a row cannot be read, if one cannot.
    pub(crate) fn malformed_was_told(&mut self, at: At, stream: &StreamTruth, table: &TableTruth) {
        if table
            .malformed()
            .and_then(|key| stream.leased(key))
            .is_some_and(|(_, shard)| shard.deleted)
        {
            return;
        }
        let alive = || self.board.lives.values().filter(|life| life.alive);
        // One that has just been started may not have got through to the table yet.
        let is_up = alive().any(|life| life.began.plus(STARTING) <= at);
        let is_said = !is_up || alive().any(|life| life.says_malformed);
        if let Some(key) = table.malformed().filter(|_| !is_said) {
            self.not_alive(
                at,
                format!("the row of {key} cannot be read, and nobody says so"),
            );
        }
    }

    /// How many unfinished leases each live process holds.
    fn held(&self, stream: &StreamTruth, table: &TableTruth) -> BTreeMap<LifeId, usize> {
        let alive = self.board.lives.iter().filter(|(_, info)| info.alive);
        let mut held: BTreeMap<LifeId, usize> = alive.map(|(life, _)| (*life, 0)).collect();
        for row in table
            .leases()
            .filter(|row| !row.checkpoint.is_shard_end() && !is_deleted(row, stream))
        {
            if let Some(owner) = self.owner_of(row, &held) {
                *held.entry(owner).or_default() += 1;
            }
        }
        held
    }

    /// The live process that holds the lease, and shows it: one that has lost it for want of
    /// renewals may stand in the row for long where nobody has room to take it.
    fn owner_of(&self, row: &Lease, alive: &BTreeMap<LifeId, usize>) -> Option<LifeId> {
        let tenancy = self
            .board
            .current_of(&row.key)
            .filter(|tenancy| alive.contains_key(&tenancy.life))?;
        let slot = self.board.lives.get(&tenancy.life)?.slot;
        (self.at
            <= self
                .board
                .shown(tenancy)
                .plus(self.world.fleet.failover_of(slot)))
        .then_some(tenancy.life)
    }

    /// The live processes that an operator drains, if they are not all that live.
    fn drained(&self, table: &TableTruth) -> BTreeSet<LifeId> {
        let alive = || self.board.lives.iter().filter(|(_, info)| info.alive);
        let is_drained = |worker| table.worker(worker).is_some_and(WorkerRow::is_draining);
        let drained: BTreeSet<LifeId> = alive()
            .filter(|(_, info)| is_drained(&info.worker))
            .map(|(life, _)| *life)
            .collect();
        if drained.len() == alive().count() {
            BTreeSet::new()
        } else {
            drained
        }
    }

    /// The worker that a lease is being moved to, or rests with, if that lives and has room.
    fn is_moving<'a>(
        &self,
        row: &'a Lease,
        held: &BTreeMap<LifeId, usize>,
        drained: &BTreeSet<LifeId>,
        table: &TableTruth,
    ) -> Option<&'a WorkerId> {
        let to = row.assigned_to.as_ref()?;
        let is_process = table
            .worker(&to.worker)
            .is_some_and(|row| row.incarnation == to.incarnation);
        let lives = |(life, info): &(&LifeId, &LifeInfo)| {
            info.alive && info.worker == to.worker && !drained.contains(*life)
        };
        let (life, _) = self.board.lives.iter().find(lives).filter(|_| is_process)?;
        let is_there = self.owner_of(row, held) == Some(*life);
        let has_room = held.get(life)? < &self.cap_of(*life, drained);
        (is_there || has_room).then_some(&to.worker)
    }

    fn cap_of(&self, life: LifeId, drained: &BTreeSet<LifeId>) -> usize {
        if drained.contains(&life) {
            return 0;
        }
        self.board
            .lives
            .get(&life)
            .map_or(usize::MAX, |info| self.world.fleet.cap_of(info.slot))
    }

    /// Whether each of these processes holds as many leases as it may.
    fn is_full(&self, held: &BTreeMap<LifeId, usize>, drained: &BTreeSet<LifeId>) -> bool {
        held.len() >= self.world.fleet.workers
            && held
                .iter()
                .all(|(life, count)| *count >= self.cap_of(*life, drained))
    }

    /// The first record of a shard that the application has to do.
    fn start_of(&self, index: usize, stream: &StreamTruth, _: &TableTruth) -> u32 {
        if let Some(to) = self.board.sought_to(index) {
            return to;
        }
        let shard = &stream.shards()[index];
        let key = shard.key.clone();
        self.board
            .made
            .get(&key)
            .map_or(0, |(checkpoint, facts)| shard.after(checkpoint, facts))
    }

    /// The last scan: every record of the truth against what was done, and the rows.
    pub(crate) fn scan(&mut self, stream: &StreamTruth, table: &TableTruth) {
        for index in 0..stream.shards().len() {
            let shard = &stream.shards()[index];
            let key = shard.key.clone();
            // Of one stream that was made again nothing is read before an operator has said what is
            // to be done.
            if shard.deleted
                || (self.world.streams == 1 && stream.is_replaced(0))
                || self.unread.contains(&index)
            {
                continue;
            }
            if !self.board.made.contains_key(&key)
                && (self.world.fleet.latest || shard.left.is_some())
            {
                continue;
            }
            let start = self.start_of(index, stream, table);
            // What left the stream before it was read has been judged by the reports of those who
            // passed it. A shard that left whole and unread, with a lease that nobody had brought
            // to its end, has to be reported too. One that was read to its end from the oldest
            // record there was, had lost nothing that anybody could know of.
            let given = self
                .board
                .processors
                .iter()
                .any(|info| info.shard == index && info.given.is_some());
            if self.board.left_behind.contains(&index)
                && !given
                && shard.len() > start
                && !self.board.gaps.contains_key(&index)
            {
                let id = shard.key.clone();
                self.report(
                    "scan: nothing lost",
                    format!("{id} left the stream unread, and nobody reported a gap"),
                );
            }
            let shard = &stream.shards()[index];
            let from = start.max(shard.trimmed());
            if let Some(record) = self
                .board
                .progress_of(index)
                .first_not_done(from, shard.len())
            {
                let (trimmed, id) = (shard.trimmed(), shard.key.clone());
                self.report(
                    "scan: nothing lost",
                    format!("record {record} of {id} was never done ({trimmed} were trimmed)"),
                );
            }
        }
        // What nobody had room to take from the dead still names them.
        let is_unread = |row: &&Lease| {
            stream
                .leased(&row.key)
                .is_some_and(|(index, _)| self.unread.contains(&index))
        };
        let held: Vec<String> = table
            .leases()
            .filter(|row| row.owner.is_some() && !is_unread(row) && !is_deleted(row, stream))
            .map(|row| format!("{} by {:?}", row.key, row.owner))
            .collect();
        if !held.is_empty() {
            self.report(
                "L4 clean stop",
                format!(
                    "leases are still held after every worker has stopped: {}",
                    held.join(", ")
                ),
            );
        }
        let Self {
            world,
            board,
            folds,
            found,
            number,
            at,
            ..
        } = self;
        let see = See {
            world,
            board,
            stream,
            table,
        };
        for fold in folds {
            let mut sink = Sink {
                kept: found,
                invariant: fold.name(),
                number: *number,
                at: *at,
            };
            fold.at_end(&see, &mut sink);
        }
    }
}
