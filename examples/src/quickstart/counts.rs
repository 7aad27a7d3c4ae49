use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kcl_core::model::{Moment, Position, Record, ShardId};
use kcl_core::{Clock, SystemClock};
use tokio::sync::watch;

use super::counted::{Came, Counted};
use super::ledger::{FileKey, Ledger, LedgerError};
use super::line::Line;
use super::plain::words;

/// What all shards together have counted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Lines, each once, including those of earlier runs.
    pub lines: u64,
    /// Their words.
    pub words: u64,
    /// Lines counted in this run.
    pub new: u64,
    /// Records and lines that were received again although no process was killed.
    pub duplicates: u64,
    /// Lines that were received too early or too late.
    pub out_of_order: u64,
    /// Records that were delivered again because an earlier run was killed before their checkpoint.
    /// They are not counted again.
    pub again: u64,
    /// Records that are not lines: another program put them.
    pub foreign: u64,
    /// When something was last counted or a shard last changed.
    pub last: Moment,
}

/// The state of a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShardState {
    /// It is being read.
    Reading,
    /// Everything was processed, and no more records can follow.
    Ended,
    /// The worker has released it.
    Released,
}

/// What is displayed about a shard.
#[derive(Clone, Copy, Debug)]
pub struct ShardView {
    /// Lines of this run.
    pub lines: u64,
    /// How far the last batch was behind the tip, in milliseconds, if there was one.
    pub lag: Option<u64>,
    /// Its state.
    pub state: ShardState,
}

/// The shards that were processed in a run.
pub type Shards = BTreeMap<ShardId, ShardView>;

/// The results of an application, in memory, the same as in the ledger.
#[derive(Debug)]
pub struct Counts {
    application: String,
    ledger: Ledger,
    /// The positions at the start of this run, if the previous run was killed.
    torn: HashMap<ShardId, Position>,
    inner: Mutex<Inner>,
    tally: watch::Sender<Tally>,
}

#[derive(Debug, Default)]
struct Inner {
    files: HashMap<String, BTreeMap<u32, Counted>>,
    positions: HashMap<ShardId, Position>,
    shards: Shards,
}

impl Counts {
    /// Loads the counts of an application from the ledger. `killed` says that its last run was not
    /// stopped gracefully.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub fn load(ledger: &Ledger, application: &str, killed: bool) -> Result<Self, LedgerError> {
        let positions = ledger.positions(application)?;
        let mut tally = Tally {
            last: SystemClock.now(),
            ..Tally::default()
        };
        let mut files: HashMap<String, BTreeMap<u32, Counted>> = HashMap::new();
        for ((path, edition), counted) in ledger.counted(application)? {
            tally.lines += counted.count.lines;
            tally.words += counted.count.words;
            files.entry(path).or_default().insert(edition, counted);
        }
        Ok(Self {
            application: application.to_owned(),
            ledger: ledger.clone(),
            torn: if killed {
                positions.clone()
            } else {
                HashMap::new()
            },
            inner: Mutex::new(Inner {
                files,
                positions,
                shards: BTreeMap::new(),
            }),
            tally: watch::Sender::new(tally),
        })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts the records of a batch. They are stored before they become visible.
    ///
    /// # Errors
    /// If the ledger cannot be written. Nothing is counted then.
    pub fn take(
        &self,
        shard: &ShardId,
        records: &[Record],
        lag: Option<u64>,
    ) -> Result<(), LedgerError> {
        let mut inner = self.inner();
        let mut tally = *self.tally.borrow();
        let mut touched: BTreeMap<(&str, u32), Counted> = BTreeMap::new();
        let mut position = inner.positions.get(shard).cloned();
        let before = tally.lines;
        for record in records {
            if position
                .as_ref()
                .is_some_and(|done| record.position <= *done)
            {
                let is_torn = self
                    .torn
                    .get(shard)
                    .is_some_and(|torn| record.position <= *torn);
                *(if is_torn {
                    &mut tally.again
                } else {
                    &mut tally.duplicates
                }) += 1;
                continue;
            }
            position = Some(record.position.clone());
            let Some(line) = Line::parse(&record.data) else {
                tally.foreign += 1;
                continue;
            };
            let file = (record.partition_key.as_str(), line.edition);
            let counted = touched.entry(file).or_insert_with(|| inner.counted(file));
            match counted.take(line.number, line.text) {
                Came::InOrder => {}
                Came::OutOfOrder => tally.out_of_order += 1,
                Came::Twice => {
                    tally.duplicates += 1;
                    continue;
                }
            }
            tally.lines += 1;
            tally.words += words(line.text);
        }
        if let Some(position) = position {
            let changed = touched
                .iter()
                .map(|((path, edition), counted)| (*path, *edition, counted));
            self.ledger
                .commit(&self.application, shard, &position, changed)?;
            inner.positions.insert(shard.clone(), position);
        }
        for ((path, edition), counted) in touched {
            match inner.files.get_mut(path) {
                Some(editions) => drop(editions.insert(edition, counted)),
                None => drop(
                    inner
                        .files
                        .insert(path.to_owned(), BTreeMap::from([(edition, counted)])),
                ),
            }
        }
        let new = tally.lines - before;
        tally.new += new;
        if let Some(view) = inner.shards.get_mut(shard) {
            view.lines += new;
            view.lag = lag.or(view.lag);
        }
        self.tally.send_replace(Tally {
            last: SystemClock.now(),
            ..tally
        });
        Ok(())
    }

    /// Sets the state of a shard.
    pub fn shard(&self, shard: &ShardId, state: ShardState) {
        let fresh = ShardView {
            lines: 0,
            lag: None,
            state,
        };
        self.inner()
            .shards
            .entry(shard.clone())
            .or_insert(fresh)
            .state = state;
        self.tally
            .send_modify(|tally| tally.last = SystemClock.now());
    }

    /// What has been counted.
    pub fn tally(&self) -> Tally {
        *self.tally.borrow()
    }

    /// The shards that were worked on in this run.
    pub fn shards(&self) -> Shards {
        self.inner().shards.clone()
    }

    /// What has been counted of one edition of a file.
    pub fn counted(&self, (path, edition): &FileKey) -> Counted {
        self.inner().counted((path, *edition))
    }

    /// The files of which at least one line was counted.
    pub fn files(&self) -> Vec<FileKey> {
        let key = |(path, editions): (&String, &BTreeMap<u32, Counted>)| {
            editions
                .keys()
                .map(|edition| (path.clone(), *edition))
                .collect::<Vec<_>>()
        };
        self.inner().files.iter().flat_map(key).collect()
    }

    /// Waits until `lines` lines are counted, these shards are being read, and nothing has happened
    /// for a moment, so that surplus lines would have shown; or until nothing has happened for
    /// `patience`. Cancel safe.
    pub async fn finished(&self, lines: u64, open: &[ShardId], patience: Duration) {
        loop {
            let Tally {
                lines: counted,
                last,
                ..
            } = self.tally();
            let is_read = |shard| {
                self.shards()
                    .get(shard)
                    .is_some_and(|view| view.state == ShardState::Reading)
            };
            let done = counted >= lines && open.iter().all(is_read);
            let until = last + if done { QUIET } else { patience };
            if SystemClock.now() >= until {
                return;
            }
            let mut tally = self.tally.subscribe();
            tokio::select! {
                biased;
                // The sender is in `self`, so this never fails.
                _ = tally.changed() => {}
                () = SystemClock.sleep_until(until) => {}
            }
        }
    }
}

/// Longer than the worker's pause between two reads of a shard.
const QUIET: Duration = Duration::from_millis(500);

impl Inner {
    fn counted(&self, (path, edition): (&str, u32)) -> Counted {
        self.files
            .get(path)
            .and_then(|editions| editions.get(&edition))
            .cloned()
            .unwrap_or_default()
    }
}
