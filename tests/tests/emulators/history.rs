//! What a worker was given, in its order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use kcl_core::model::{SequenceNumber, ShardId};
use kcl_core::processor::{InitializeInput, ProcessRecordsInput, ShardEndedInput, ShardRef};
use kcl_core::{BoxError, Failure, RecordProcessor};

/// A call of a processor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Initialized(ShardId),
    /// A record, with its key and its number among those of the key.
    Given(ShardId, SequenceNumber, String, usize),
    Ended(ShardId),
}

/// All calls so far. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct History(Arc<Mutex<Vec<Call>>>);

impl History {
    fn add(&self, call: Call) {
        self.0.lock().expect("no test panics in between").push(call);
    }

    fn calls(&self) -> Vec<Call> {
        self.0.lock().expect("no test panics in between").clone()
    }

    /// How many records were given.
    pub(crate) fn given(&self) -> usize {
        self.calls()
            .iter()
            .filter(|call| matches!(call, Call::Given(..)))
            .count()
    }

    /// How many records of a shard were given.
    pub(crate) fn given_of(&self, shard: &ShardId) -> usize {
        self.calls()
            .iter()
            .filter(|call| matches!(call, Call::Given(of, ..) if of == shard))
            .count()
    }

    pub(crate) fn is_ended(&self, shard: &ShardId) -> bool {
        self.calls().contains(&Call::Ended(shard.clone()))
    }

    /// Each of the records of these keys, so many each, was given once and after those of its key
    /// that were put before; those of a shard came by their sequence numbers; and no shard began
    /// before its parents had ended.
    pub(crate) fn assert_in_order(
        &self,
        keys: &BTreeMap<String, usize>,
        parents: &BTreeMap<ShardId, Vec<ShardId>>,
    ) {
        let mut next: BTreeMap<String, usize> = BTreeMap::new();
        let mut last: BTreeMap<ShardId, SequenceNumber> = BTreeMap::new();
        let mut ended = BTreeSet::new();
        for call in self.calls() {
            match call {
                Call::Initialized(shard) => {
                    for parent in &parents[&shard] {
                        assert!(
                            ended.contains(parent),
                            "{shard} began before {parent} had ended"
                        );
                    }
                }
                Call::Given(shard, sequence, key, number) => {
                    let expected = next.entry(key.clone()).or_default();
                    assert_eq!(number, *expected, "the records of {key}, of {shard}");
                    *expected += 1;
                    let before = last.insert(shard.clone(), sequence.clone());
                    assert!(
                        before.is_none_or(|before| before < sequence),
                        "{shard} at {sequence}"
                    );
                }
                Call::Ended(shard) => assert!(ended.insert(shard.clone()), "{shard} ended twice"),
            }
        }
        assert_eq!(next, *keys, "how many records of each key were given");
    }
}

/// Writes down what it is given.
pub(crate) struct Processor {
    shard: ShardId,
    history: History,
}

impl Processor {
    pub(crate) fn new(history: &History, shard: &ShardRef) -> Self {
        Self {
            shard: shard.shard.clone(),
            history: history.clone(),
        }
    }
}

impl RecordProcessor for Processor {
    async fn initialize(&mut self, _: InitializeInput) -> Result<(), BoxError> {
        self.history.add(Call::Initialized(self.shard.clone()));
        Ok(())
    }

    async fn process_records(&mut self, input: ProcessRecordsInput) -> Result<(), Failure> {
        for record in &input.records {
            let number = std::str::from_utf8(&record.data)
                .ok()
                .and_then(|text| text.parse().ok())
                .expect("a number");
            let key = record.partition_key.to_string();
            self.history.add(Call::Given(
                self.shard.clone(),
                record.position.sequence.clone(),
                key,
                number,
            ));
        }
        Ok(())
    }

    async fn shard_ended(&mut self, _: ShardEndedInput) -> Result<(), BoxError> {
        self.history.add(Call::Ended(self.shard.clone()));
        Ok(())
    }
}
