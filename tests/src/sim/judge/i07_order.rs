use std::collections::BTreeMap;

use kcl_core::model::Checkpoint;

use crate::sim::history::{Call, Entry, Event, LifeId, ProcessorId};
use crate::sim::runtime::At;

use super::fold::{Fold, See, Sink};

/// I7: within a tenancy the first attempts give the records in order, each once, without a gap. A
/// retry repeats a suffix of the same batch: only what is done is left out. Records that retention
/// took are passed with a report.
#[derive(Debug, Default)]
pub(super) struct Order {
    cursors: BTreeMap<ProcessorId, Cursor>,
    /// Stretches that were passed: who has to report them, of which shard, since when.
    passed: Vec<Passed>,
}

#[derive(Debug)]
struct Cursor {
    /// The batch that was given last, as its first record and the one behind its last.
    batch: (u32, u32),
}

#[derive(Debug)]
struct Passed {
    life: LifeId,
    shard: usize,
    from: u32,
    to: u32,
    number: u64,
    at: At,
}

impl Fold for Order {
    fn name(&self) -> &'static str {
        "I7 order"
    }

    fn on(&mut self, entry: &Entry, see: &See<'_>, sink: &mut Sink<'_>) {
        let Event::Called {
            processor,
            call: Call::Process {
                records, attempt, ..
            },
        } = &entry.event
        else {
            return;
        };
        let info = see.board.processor(*processor);
        let shard = &see.stream.shards()[info.shard];
        let (Some((first, _)), Some((_, end))) = (records.first(), records.last()) else {
            sink.report(|| format!("{}: an empty batch", info.key));
            return;
        };
        sink.check(*end <= shard.len() && records.len() == 1, || {
            format!("{}: a batch with a gap: {records:?}", info.key)
        });
        let before = self.cursors.insert(
            *processor,
            Cursor {
                batch: (*first, *end),
            },
        );
        if *attempt > 1 {
            let batch = before.map_or((0, 0), |cursor| cursor.batch);
            let progress = see.board.progress_of(info.shard);
            let suffix = *end == batch.1
                && *first >= batch.0
                && (batch.0..*first).all(|record| progress.is_done(record));
            sink.check(suffix, || {
                format!(
                    "{}: attempt {attempt} gives {first}..{end} after {batch:?}",
                    info.key
                )
            });
            return;
        }
        let Some(before) = before else {
            // Where the first one begins is judged by I6; what it passed has to be reported.
            if let Some(tenancy) = see.board.tenancy_of(*processor)
                && let Checkpoint::At(position) = &tenancy.start
            {
                let expected = shard.up_to(position);
                self.pass(entry, info.life, info.shard, expected, *first);
            }
            return;
        };
        let expected = before.batch.1;
        sink.check(
            *first == expected || (*first > expected && *first <= shard.trimmed()),
            || {
                format!(
                    "{}: {:?} was given record {first} after {expected} ({} were trimmed)",
                    info.key,
                    info.life,
                    shard.trimmed()
                )
            },
        );
        self.pass(entry, info.life, info.shard, expected, *first);
    }

    fn at_end(&mut self, see: &See<'_>, sink: &mut Sink<'_>) {
        for passed in &self.passed {
            let reports = see.board.gaps.get(&passed.shard).into_iter().flatten();
            let reported = reports.into_iter().any(|(life, _)| *life == passed.life);
            let unnoticed = see.board.overtaken.get(&passed.shard).into_iter().flatten();
            // An open cursor that retention has overtaken goes on without a word: the service says
            // nothing, and nobody can tell.
            let unnoticed = unnoticed
                .into_iter()
                .any(|(life, _, to)| *life == passed.life && *to >= passed.to);
            sink.check(reported || unnoticed, || {
                let Passed {
                    life,
                    shard,
                    from,
                    to,
                    number,
                    at,
                } = passed;
                format!(
                    "{life:?} passed the records {from}..{to} of shard {shard} at {at} (event \
                     {number}) without reporting a gap"
                )
            });
        }
    }
}

impl Order {
    fn pass(&mut self, entry: &Entry, life: LifeId, shard: usize, from: u32, to: u32) {
        if to > from {
            self.passed.push(Passed {
                life,
                shard,
                from,
                to,
                number: entry.number,
                at: entry.at,
            });
        }
    }
}
