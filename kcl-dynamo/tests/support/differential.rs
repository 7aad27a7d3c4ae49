use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use kcl_core::lease::memory::MemoryLeaseTable;
use kcl_core::lease::{
    Change, Changed, Consistency, Error, Expect, LeaseTable, Match, WorkerRow, Write,
};
use kcl_core::model::{
    Checkpoint, Facts, Lease, LeaseKey, Pending, Position, SequenceNumber, Timestamp,
};

/// Carries random operations out on this table and on the one in memory, step by step: they must
/// answer alike.
///
/// # Panics
/// They do not; it says at which step, what was done, and what both answered.
pub async fn answers_as_the_table_in_memory(table: Arc<dyn LeaseTable>, seed: u64, steps: usize) {
    let memory = MemoryLeaseTable::new();
    memory.setup().await.unwrap();
    table.setup().await.unwrap();
    let mut random = Random(Rng::with_seed(seed));
    let mut done = Vec::new();
    for step in 0..steps {
        let op = random.op();
        let answers = (carry_out(&*table, &op).await, carry_out(&memory, &op).await);
        done.push(format!("{op:?}"));
        assert_eq!(
            answers.0,
            answers.1,
            "seed {seed}, step {step}, after {:#?}",
            &done[done.len().saturating_sub(6)..]
        );
    }
}

#[derive(Clone, Debug)]
enum Op {
    Create(Lease),
    /// `exact`: the condition is what the row is, so that most of these are carried out.
    Update {
        key: LeaseKey,
        expect: Expect,
        exact: bool,
        change: Change,
    },
    Delete {
        key: LeaseKey,
        expect: Expect,
        exact: bool,
    },
    CreateWorker(WorkerRow),
    /// Over the row as it is, or over one that is not there.
    UpdateWorker {
        worker: WorkerRow,
        leaving: bool,
        exact: bool,
    },
    DeleteWorker {
        worker: WorkerRow,
        exact: bool,
    },
    Announce(Vec<Changed>),
    Get(LeaseKey),
    Scan,
}

struct Random(Rng);

impl Random {
    fn key(&mut self) -> LeaseKey {
        let shard = format!("shardId-{:012}", self.0.u8(..4));
        LeaseKey {
            stream: self.0.bool().then(|| "000000000000:other:1".into()),
            shard: shard.into(),
        }
    }

    fn name<T: From<&'static str>>(&mut self) -> T {
        ["a", "b", "c"][self.0.usize(..3)].into()
    }

    fn checkpoint(&mut self) -> Checkpoint {
        match self.0.u8(..6) {
            0 => Checkpoint::TrimHorizon,
            1 => Checkpoint::Latest,
            2 => Checkpoint::ShardEnd,
            // Longer than 64 bits: a comparison or a number of that width goes wrong.
            _ => Checkpoint::At(Position::new(
                SequenceNumber::from_u128((1 << 70) + u128::from(self.0.u8(..3))),
                self.0.u64(..2),
            )),
        }
    }

    fn facts(&mut self) -> Option<Facts> {
        let mut time = || {
            self.0
                .bool()
                .then(|| Timestamp::from_millis(self.0.i64(..3)))
        };
        let (start, began) = (time(), time());
        self.0.bool().then(|| {
            let mut facts = Facts::default();
            (facts.start_at, facts.began_at) = (start, began);
            facts
        })
    }

    fn last(&mut self) -> Option<Checkpoint> {
        self.0.bool().then(|| self.checkpoint())
    }

    fn wanted<T: From<&'static str>>(&mut self) -> Match<T> {
        match self.0.u8(..5) {
            0 => Match::Is(self.name()),
            1 => Match::Absent,
            _ => Match::Any,
        }
    }

    fn expect(&mut self) -> Expect {
        let mut expect = Expect::default();
        expect.counter = self.0.bool().then(|| self.0.u64(..4));
        expect.token = self.wanted();
        expect.owner = self.wanted();
        expect.checkpoint_owner = self.wanted();
        expect.checkpoint = self.last();
        expect.not_ended = self.0.bool();
        expect
    }

    fn change(&mut self) -> Change {
        match self.0.u8(..12) {
            0 | 1 => Change::Take {
                owner: self.name(),
                token: self.name(),
            },
            2 => Change::Claim { token: self.name() },
            3 => Change::Renew,
            4 => Change::Checkpoint {
                to: self.checkpoint(),
                facts: self.facts(),
            },
            5 => {
                let state = self.0.bool().then(|| vec![self.0.u8(..), 0].into());
                Change::Prepare {
                    pending: Pending {
                        at: self.checkpoint(),
                        state,
                    },
                }
            }
            6 => Change::Request {
                by: self.name(),
                of: self.name(),
            },
            7 => Change::Withdraw { to: self.name() },
            8 => Change::PassOn {
                checkpoint: self.last(),
                facts: self.facts(),
            },
            9 => Change::Refuse { owner: self.name() },
            10 => Change::Release {
                checkpoint: self.last(),
                facts: self.facts(),
            },
            _ => {
                // As in the table, where they are a set.
                let children: BTreeSet<_> = (0..self.0.u8(..3)).map(|_| self.key().shard).collect();
                let children = children.into_iter().collect();
                if self.0.bool() {
                    Change::End {
                        children,
                        facts: self.facts(),
                    }
                } else {
                    Change::Children { children }
                }
            }
        }
    }

    fn worker(&mut self) -> WorkerRow {
        let number = self.0.u8(..3);
        WorkerRow::new(
            format!("worker-{number}").into(),
            format!("incarnation-{number}").into(),
            Duration::from_secs(10),
        )
    }

    fn op(&mut self) -> Op {
        // Exactly the row, more often than not.
        let exact = self.0.u8(..10) < 7;
        match self.0.u8(..21) {
            0..=2 => {
                let lease = Lease::new(self.key(), self.checkpoint());
                Op::Create(if self.0.bool() {
                    lease.owned_by(self.name(), self.name())
                } else {
                    lease
                })
            }
            3..=12 => Op::Update {
                key: self.key(),
                expect: self.expect(),
                exact,
                change: self.change(),
            },
            13 => Op::Delete {
                key: self.key(),
                expect: self.expect(),
                exact,
            },
            14 => Op::CreateWorker(self.worker()),
            15 | 16 => Op::UpdateWorker {
                worker: self.worker(),
                leaving: self.0.bool(),
                exact,
            },
            17 => Op::DeleteWorker {
                worker: self.worker(),
                exact,
            },
            18 => Op::Announce(
                (0..self.0.u8(..4))
                    .map(|_| Changed::Lease(self.key()))
                    .collect(),
            ),
            19 => Op::Get(self.key()),
            _ => Op::Scan,
        }
    }
}

fn said<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
    match result {
        Ok(value) => format!("{value:?}"),
        // Whether the row that won is told, and which; the rest is words.
        Err(Error::Conflict { row }) => format!("conflict with {row:?}"),
        Err(error) => format!("another error: {error}"),
    }
}

async fn condition(table: &dyn LeaseTable, key: &LeaseKey, expect: &Expect, exact: bool) -> Expect {
    let Some(row) = table.get(key).await.unwrap().filter(|_| exact) else {
        return expect.clone();
    };
    let mut condition = Expect::default();
    (condition.counter, condition.checkpoint) = (Some(row.counter), Some(row.checkpoint));
    condition.token = Match::exactly(row.token);
    condition
}

async fn seen(table: &dyn LeaseTable, worker: &WorkerRow, exact: bool) -> WorkerRow {
    let mut row = table
        .get_worker(&worker.worker)
        .await
        .unwrap()
        .unwrap_or_else(|| worker.clone());
    row.counter += if exact { 0 } else { 7 };
    row
}

async fn carry_out(table: &dyn LeaseTable, op: &Op) -> String {
    match op {
        Op::Create(lease) => said(table.create(lease).await),
        Op::Update {
            key,
            expect,
            exact,
            change,
        } => {
            let expect = condition(table, key, expect, *exact).await;
            said(table.update(key, &Write::new(expect, change.clone())).await)
        }
        Op::Delete { key, expect, exact } => {
            let expect = condition(table, key, expect, *exact).await;
            said(table.delete(key, &expect).await)
        }
        Op::CreateWorker(row) => said(table.write_worker(&row.worker, None, Some(row)).await),
        Op::UpdateWorker {
            worker,
            leaving,
            exact,
        } => {
            let seen = seen(table, worker, *exact).await;
            let row = if *leaving {
                seen.leaving()
            } else {
                seen.next()
            };
            said(
                table
                    .write_worker(&seen.worker, Some(&seen), Some(&row))
                    .await,
            )
        }
        Op::DeleteWorker { worker, exact } => {
            let seen = seen(table, worker, *exact).await;
            said(table.write_worker(&seen.worker, Some(&seen), None).await)
        }
        Op::Announce(changed) => {
            let before = table.change_signal().await.unwrap().unwrap();
            let answer = said(table.announce(changed).await);
            let after = table.change_signal().await.unwrap().unwrap();
            // What the values are is each table's own affair.
            format!(
                "{answer} {} {:?}",
                before.value == after.value,
                after.since(&before.value)
            )
        }
        Op::Get(key) => said(table.get(key).await),
        Op::Scan => {
            let mut all = table.scan(None, Consistency::Strong).await.unwrap();
            while let Some(next) = all.next.clone() {
                let page = table.scan(Some(&next), Consistency::Strong).await.unwrap();
                all.append(page);
            }
            all.leases.sort_by(|one, other| one.key.cmp(&other.key));
            all.workers
                .sort_by(|one, other| one.worker.cmp(&other.worker));
            format!("{:?} {:?} {:?}", all.leases, all.workers, all.malformed)
        }
    }
}
