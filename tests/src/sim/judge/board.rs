use std::collections::{BTreeMap, BTreeSet};

use kcl_core::lease::{Change, KeepAlive};
use kcl_core::model::{Checkpoint, Facts, LeaseKey, Token, WorkerId};

use crate::sim::history::{
    Asked, Call, Entry, Event, InOrder, LifeId, ProcessorId, Returned, Said, Written,
};
use crate::sim::runtime::At;
use crate::sim::truth::StreamTruth;
use crate::sim::world::World;

use super::progress::Progress;

/// What every invariant needs to know of the history so far.
#[derive(Debug, Default)]
pub(crate) struct Board {
    pub(crate) lives: BTreeMap<LifeId, LifeInfo>,
    pub(crate) processors: Vec<ProcessorInfo>,
    pub(crate) tenancies: Vec<Tenancy>,
    /// The tenancy of each lease that has one.
    pub(crate) current: BTreeMap<LeaseKey, usize>,
    /// Leases that were made when their shard had left the stream already.
    pub(crate) made_too_late: BTreeSet<LeaseKey>,
    /// How each lease was made.
    pub(crate) made: BTreeMap<LeaseKey, (Checkpoint, Facts)>,
    /// Shards whose end was stored.
    pub(crate) finished: BTreeSet<LeaseKey>,
    pub(crate) progress: Vec<Progress>,
    /// Shards of which a gap was reported, or could not be noticed: how far it reached.
    pub(crate) gaps: BTreeMap<usize, Vec<(LifeId, At)>>,
    pub(crate) overtaken: BTreeMap<usize, Vec<(LifeId, u32, u32)>>,
    /// Shards that were answered as ended and empty. Whether they have ended is confirmed later,
    /// when they may have left the stream.
    pub(crate) found_empty: BTreeSet<usize>,
    /// Shards that left the stream when they had a lease and nobody had come to their end.
    pub(crate) left_behind: BTreeSet<usize>,
    /// Where an operator has set shards last.
    sought: BTreeMap<usize, SoughtPlace>,
    skip_failed: bool,
}

/// Where an operator has set a shard.
#[derive(Clone, Copy, Debug)]
struct SoughtPlace {
    /// The index of the first record that is read.
    to: u32,
    /// Whether that is `LATEST` or a time.
    is_time: bool,
    /// The counter of the row afterwards: tenancies with a lower one are from before.
    counter: u64,
}

/// A process.
#[derive(Debug)]
pub(crate) struct LifeInfo {
    pub(crate) worker: WorkerId,
    /// Its place in the fleet.
    pub(crate) slot: usize,
    pub(crate) began: At,
    /// It has said that shards are unread because it has no room.
    pub(crate) says_left: bool,
    /// It has said that the row of a lease cannot be read.
    pub(crate) says_malformed: bool,
    pub(crate) alive: bool,
    pub(crate) crashed: bool,
    /// When its own row last said that its heartbeats hold the leases of an incarnation; `None` if
    /// what it wrote last says otherwise.
    pub(crate) beat: Option<(At, Token)>,
    /// When it ended because its stream was made again.
    pub(crate) replaced: Option<At>,
}

/// A processor, as far as calls have shown it.
#[derive(Debug)]
pub(crate) struct ProcessorInfo {
    pub(crate) life: LifeId,
    pub(crate) shard: usize,
    pub(crate) key: LeaseKey,
    pub(crate) tenancy: Option<usize>,
    /// The records of the call that it is in, or was in last.
    pub(crate) batch: Vec<(u32, u32)>,
    pub(crate) processing: bool,
    /// The records that it was given: the first, and the one behind the last.
    pub(crate) given: Option<(u32, u32)>,
    /// The index behind the last record that is done in it, with all before that it was given.
    pub(crate) done_to: u32,
    /// The records that were handled beside its calls.
    pub(crate) handled: BTreeSet<u32>,
    /// Those that a buffer has given in a flush which has failed, and that were not done since.
    pub(crate) failed: BTreeSet<u32>,
    /// Whether the records are given by flushes of buffers.
    pub(crate) is_buffer: bool,
    /// It was told the end of its shard.
    pub(crate) ended: bool,
}

/// A tenancy of a lease, as the rows have shown it.
#[derive(Debug)]
pub(crate) struct Tenancy {
    pub(crate) key: LeaseKey,
    pub(crate) token: Token,
    pub(crate) life: LifeId,
    pub(crate) worker: WorkerId,
    pub(crate) fence: u64,
    /// The checkpoint that it began with.
    pub(crate) start: Checkpoint,
    pub(crate) facts: Facts,
    /// When its last write was carried out.
    pub(crate) written: At,
    pub(crate) ended: Option<Ending>,
}

/// How a tenancy ended.
#[derive(Debug)]
pub(crate) struct Ending {
    pub(crate) at: At,
    pub(crate) by: LifeId,
    pub(crate) by_worker: Option<WorkerId>,
    pub(crate) how: &'static str,
}

impl Board {
    pub(super) fn new(world: &World) -> Self {
        Self {
            skip_failed: world.fleet.skip_failed,
            ..Self::default()
        }
    }

    pub(crate) fn processor(&self, id: ProcessorId) -> &ProcessorInfo {
        &self.processors[id.0 as usize]
    }

    /// When it was last shown that a tenancy goes on: by its last write or, where heartbeats hold the
    /// lease, by the last of those.
    pub(crate) fn shown(&self, tenancy: &Tenancy) -> At {
        let owner = self.lives.get(&tenancy.life);
        match owner.and_then(|life| life.beat.as_ref()) {
            Some((at, of)) if tenancy.token.incarnation() == Some(of.as_str()) => *at,
            _ => tenancy.written,
        }
    }

    pub(crate) fn tenancy_of(&self, id: ProcessorId) -> Option<&Tenancy> {
        self.processor(id)
            .tenancy
            .map(|tenancy| &self.tenancies[tenancy])
    }

    pub(crate) fn current_of(&self, key: &LeaseKey) -> Option<&Tenancy> {
        self.current
            .get(key)
            .map(|tenancy| &self.tenancies[*tenancy])
    }

    /// The tenancy that this row is, or was, in.
    pub(crate) fn tenancy_with(&self, key: &LeaseKey, token: &Token) -> Option<&Tenancy> {
        let is_it = |tenancy: &&Tenancy| tenancy.key == *key && tenancy.token == *token;
        self.current_of(key)
            .filter(is_it)
            .or_else(|| self.tenancies.iter().rev().find(is_it))
    }

    /// The first record of a shard that was to be read since an operator set it, if one has.
    pub(crate) fn sought_to(&self, shard: usize) -> Option<u32> {
        self.sought.get(&shard).map(|place| place.to)
    }

    /// Whether an operator has set the shard last to `LATEST` or to a time.
    pub(crate) fn is_sought_at_a_time(&self, shard: usize) -> bool {
        self.sought.get(&shard).is_some_and(|place| place.is_time)
    }

    /// Whether an operator has set the shard since this tenancy began, and so after its end: what it
    /// stored says nothing of the row any more.
    pub(crate) fn is_sought_since(&self, shard: usize, tenancy: &Tenancy) -> bool {
        let place = self.sought.get(&shard);
        place.is_some_and(|place| place.counter > tenancy.fence)
    }

    pub(crate) fn progress_of(&self, shard: usize) -> &Progress {
        &self.progress[shard]
    }

    pub(super) fn on(&mut self, entry: &Entry, stream: &StreamTruth) {
        match &entry.event {
            Event::Started { life, worker, slot } => {
                let info = LifeInfo {
                    worker: worker.clone(),
                    slot: *slot,
                    began: entry.at,
                    says_left: false,
                    says_malformed: false,
                    alive: true,
                    crashed: false,
                    beat: None,
                    replaced: None,
                };
                self.lives.insert(*life, info);
            }
            Event::Said {
                life,
                said: Said::LeftUnread(_),
            } => {
                if let Some(info) = self.lives.get_mut(life) {
                    info.says_left = true;
                }
            }
            Event::Said {
                life,
                said: Said::Malformed,
            } => {
                if let Some(info) = self.lives.get_mut(life) {
                    info.says_malformed = true;
                }
            }
            Event::WorkerRow {
                life,
                worker,
                row: Some(row),
                accepted: true,
            } => {
                let info = self.lives.get_mut(life);
                if let Some(info) = info.filter(|info| info.worker == *worker) {
                    let holds = row.keep_alive == KeepAlive::Heartbeats;
                    info.beat = holds.then(|| (entry.at, row.incarnation.clone()));
                }
            }
            Event::Crashed { life } => self.end_life(*life, true),
            Event::Stopped { life, error, .. } => {
                self.end_life(*life, false);
                let is_replaced = error
                    .as_ref()
                    .is_some_and(|error| error.contains("was deleted and created again"));
                if let Some(info) = self.lives.get_mut(life).filter(|_| is_replaced) {
                    info.replaced = Some(entry.at);
                }
            }
            Event::Written(written) if written.accepted => self.on_row(entry, written, stream),
            Event::Made {
                life, shard, key, ..
            } => self.processors.push(ProcessorInfo {
                life: *life,
                shard: *shard,
                key: key.clone(),
                tenancy: None,
                batch: Vec::new(),
                processing: false,
                given: None,
                ended: false,
                done_to: 0,
                handled: BTreeSet::new(),
                failed: BTreeSet::new(),
                is_buffer: false,
            }),
            Event::Called { processor, call } => self.on_call(*processor, call),
            Event::Returned {
                processor,
                returned,
            } => self.on_returned(entry.number, *processor, *returned),
            Event::Began {
                processor,
                record,
                order,
            } => {
                let info = &mut self.processors[processor.0 as usize];
                info.is_buffer = matches!(order, InOrder::AllTogether | InOrder::KeyTogether);
                let (first, end) = info.given.unwrap_or((*record, *record));
                info.given = Some((first.min(*record), end.max(record.saturating_add(1))));
            }
            Event::Handled {
                processor,
                record,
                done,
            } => {
                let info = &mut self.processors[processor.0 as usize];
                if *done {
                    info.failed.remove(record);
                } else if info.is_buffer {
                    info.failed.insert(*record);
                }
                if *done {
                    self.on_handled(entry.number, *processor, *record);
                }
            }
            Event::Checkpointing {
                processor,
                up_to,
                prepare: false,
                ..
            } => {
                let info = &mut self.processors[processor.0 as usize];
                if let Some((first, end)) = info.given {
                    let to = (*up_to).min(end);
                    self.progress[info.shard].mark(first.min(to), to, entry.number);
                }
            }
            Event::Opened { shard, .. } => {
                debug_assert_eq!(*shard, self.progress.len());
                self.progress.push(Progress::default());
            }
            Event::Sought { before, after } => {
                if let Some((index, shard)) = stream.leased(&after.key) {
                    let from = shard.after(&before.checkpoint, &before.facts);
                    let to = shard.after(&after.checkpoint, &after.facts);
                    self.progress[index].seek(from, to, entry.number);
                    let place = SoughtPlace {
                        to,
                        is_time: after.checkpoint != Checkpoint::TrimHorizon,
                        counter: after.counter,
                    };
                    self.sought.insert(index, place);
                }
            }
            Event::FoundEmpty { shard, .. } => drop(self.found_empty.insert(*shard)),
            Event::Overtaken {
                life,
                shard,
                from,
                to,
            } => {
                self.overtaken
                    .entry(*shard)
                    .or_default()
                    .push((*life, *from, *to));
            }
            _ => {}
        }
    }

    /// A gap that a worker reported of a shard.
    pub(super) fn on_said(&mut self, entry: &Entry, shard: usize) {
        if let Event::Said {
            life,
            said: Said::Gap(..),
        } = &entry.event
        {
            self.gaps.entry(shard).or_default().push((*life, entry.at));
        }
    }

    fn end_life(&mut self, life: LifeId, crashed: bool) {
        if let Some(info) = self.lives.get_mut(&life) {
            info.alive = false;
            info.crashed = crashed;
        }
    }

    fn on_call(&mut self, id: ProcessorId, call: &Call) {
        let info = &mut self.processors[id.0 as usize];
        match call {
            Call::Initialize { fence, .. } if info.tenancy.is_none() => {
                let (life, key) = (info.life, &info.key);
                info.tenancy = self.tenancies.iter().rposition(|tenancy| {
                    tenancy.key == *key && tenancy.life == life && tenancy.fence == *fence
                });
            }
            Call::Process { records, .. } => {
                info.batch.clone_from(records);
                info.processing = true;
                if let (Some((from, _)), Some((_, to))) = (records.first(), records.last()) {
                    let (first, end) = info.given.unwrap_or((*from, *to));
                    info.given = Some((first.min(*from), end.max(*to)));
                }
            }
            Call::ShardEnded { .. } => (info.processing, info.ended) = (false, true),
            _ => info.processing = false,
        }
    }

    fn on_handled(&mut self, number: u64, id: ProcessorId, record: u32) {
        let info = &mut self.processors[id.0 as usize];
        if record < u32::MAX - 1 {
            self.progress[info.shard].mark(record, record + 1, number);
        }
        info.handled.insert(record);
        if info.handled.len() == 1 || info.done_to == 0 {
            // What it was given first is where it began.
            info.done_to = info.given.map_or(record, |(first, _)| first);
        }
        while info.handled.contains(&info.done_to) {
            info.done_to += 1;
        }
    }

    fn on_returned(&mut self, number: u64, id: ProcessorId, returned: Returned) {
        let info = &mut self.processors[id.0 as usize];
        if !std::mem::take(&mut info.processing) {
            return;
        }
        let end = match returned {
            Returned::Done => u32::MAX,
            Returned::Failed(Some(at)) if self.skip_failed => at + 1,
            Returned::Failed(Some(at)) => at,
            Returned::Failed(None) | Returned::Panicked => 0,
        };
        let progress = &mut self.progress[info.shard];
        for (from, to) in &info.batch {
            let to = (*to).min(end);
            if *from < to && to != u32::MAX {
                progress.mark(*from, to, number);
                info.done_to = info.done_to.max(to);
            }
        }
    }

    fn on_row(&mut self, entry: &Entry, written: &Written, stream: &StreamTruth) {
        let token =
            |row: &Option<kcl_core::model::Lease>| row.as_ref().and_then(|row| row.token.clone());
        let (before, after) = (token(&written.before), token(&written.after));
        if let (None, Some(row)) = (&written.before, &written.after) {
            let has_left = stream
                .leased(&written.key)
                .is_some_and(|(_, shard)| shard.left.is_some());
            if has_left && !self.made.contains_key(&written.key) {
                self.made_too_late.insert(written.key.clone());
            }
            self.made
                .entry(written.key.clone())
                .or_insert_with(|| (row.checkpoint.clone(), row.facts.clone()));
        }
        if written
            .after
            .as_ref()
            .is_some_and(|row| row.checkpoint.is_shard_end())
        {
            self.finished.insert(written.key.clone());
        }
        if before == after {
            let moved = |row: &kcl_core::model::Lease| {
                row.counter > written.before.as_ref().map_or(0, |before| before.counter)
            };
            if let Some(tenancy) = self.current.get(&written.key)
                && written.after.as_ref().is_some_and(moved)
            {
                self.tenancies[*tenancy].written = entry.at;
            }
            return;
        }
        if let Some(tenancy) = self.current.remove(&written.key) {
            let how = match &written.asked {
                Asked::Create(_) => "create",
                Asked::Delete(_) => "delete",
                Asked::Update(_, Change::Take { .. }) => "take",
                Asked::Update(_, Change::Release { .. }) => "release",
                Asked::Update(_, Change::End { .. }) => "end",
                Asked::Update(_, Change::PassOn { .. }) => "pass on",
                Asked::Update(..) => "another write",
            };
            let by_worker = written.after.as_ref().and_then(|row| row.owner.clone());
            let ending = Ending {
                at: entry.at,
                by: written.life,
                by_worker,
                how,
            };
            self.tenancies[tenancy].ended = Some(ending);
        }
        if let (Some(token), Some(row)) = (after, &written.after) {
            self.current
                .insert(written.key.clone(), self.tenancies.len());
            self.tenancies.push(Tenancy {
                key: written.key.clone(),
                token,
                life: written.life,
                worker: row.owner.clone().unwrap_or_else(|| "nobody".into()),
                fence: row.counter,
                start: row.checkpoint.clone(),
                facts: row.facts.clone(),
                written: entry.at,
                ended: None,
            });
        }
    }
}
