//! The tables answer alike: random operations on the table in memory, on SQLite and on the fake of
//! the simulator, step by step. What the simulator shows with its fake then holds of the real ones,
//! as far as their answers go.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use kcl_core::lease::memory::MemoryLeaseTable;
use kcl_core::lease::{
    Change, Changed, Consistency, Error, Expect, LeaseTable, Match, WorkerRow, Write,
};
use kcl_core::model::{Checkpoint, Lease, LeaseKey, Pending, Position, SequenceNumber};
use kcl_local::SqliteLeaseTable;
use proptest::prelude::*;
use tests::sim::with_fake_table;

#[derive(Clone, Debug)]
enum Op {
    Create(Lease),
    /// `exact`: the counter, the token and the checkpoint are those of the row, so that most of
    /// these are carried out.
    Update {
        key: u8,
        expect: Expect,
        exact: bool,
        change: Change,
    },
    Delete {
        key: u8,
        expect: Expect,
        exact: bool,
    },
    CreateWorker(u8),
    /// A sign of life or the mark of one who leaves, over the row as it is or over one that is not
    /// there.
    UpdateWorker {
        worker: u8,
        leaving: bool,
        exact: bool,
    },
    DeleteWorker {
        worker: u8,
        exact: bool,
    },
    Announce(Vec<u8>),
    Get(u8),
    Scan,
}

fn key(number: u8) -> LeaseKey {
    LeaseKey {
        stream: (number > 3).then(|| "000000000000:other:1".into()),
        shard: format!("shardId-{:012}", number % 4).into(),
    }
}

fn checkpoints() -> impl Strategy<Value = Checkpoint> {
    let at = (0_u128..3, 0_u64..2).prop_map(|(sequence, sub)| {
        // Longer than 64 bits: a comparison or a column of that width goes wrong.
        Checkpoint::At(Position::new(
            SequenceNumber::from_u128((1 << 70) + sequence),
            sub,
        ))
    });
    prop_oneof![3 => at, 1 => Just(Checkpoint::TrimHorizon), 1 => Just(Checkpoint::Latest), 1 => Just(Checkpoint::ShardEnd)]
}

fn names<T: From<&'static str> + Clone + std::fmt::Debug + 'static>() -> impl Strategy<Value = T> {
    prop_oneof![Just(T::from("a")), Just(T::from("b")), Just(T::from("c"))]
}

fn matches<T: From<&'static str> + Clone + std::fmt::Debug + 'static>()
-> impl Strategy<Value = Match<T>> {
    prop_oneof![3 => Just(Match::Any), 1 => names::<T>().prop_map(Match::Is), 1 => Just(Match::Absent)]
}

prop_compose! {
    fn expects()(
        counter in proptest::option::of(0_u64..4),
        token in matches(),
        owner in matches(),
        checkpoint_owner in matches(),
        checkpoint in proptest::option::of(checkpoints()),
        not_ended: bool,
    ) -> Expect {
        let mut expect = Expect::default();
        (expect.counter, expect.token, expect.owner) = (counter, token, owner);
        (expect.checkpoint_owner, expect.checkpoint, expect.not_ended) = (checkpoint_owner, checkpoint, not_ended);
        expect
    }
}

fn changes() -> impl Strategy<Value = Change> {
    let last = || proptest::option::of(checkpoints());
    let children = || {
        proptest::collection::vec(0_u8..4, 0..3)
            .prop_map(|all| all.into_iter().map(|child| key(child).shard).collect())
    };
    prop_oneof![
        2 => (names(), names()).prop_map(|(owner, token)| Change::Take { owner, token }),
        1 => names().prop_map(|token| Change::Claim { token }),
        2 => Just(Change::Renew),
        3 => checkpoints().prop_map(|to| Change::Checkpoint { to, facts: None }),
        1 => (checkpoints(), proptest::option::of(any::<[u8; 3]>())).prop_map(|(at, state)| Change::Prepare {
            pending: Pending { at, state: state.map(|state| state.to_vec().into()) }
        }),
        1 => (names(), names()).prop_map(|(by, of)| Change::Request { by, of }),
        1 => names().prop_map(|to| Change::Withdraw { to }),
        1 => last().prop_map(|checkpoint| Change::PassOn { checkpoint, facts: None }),
        1 => names().prop_map(|owner| Change::Refuse { owner }),
        1 => last().prop_map(|checkpoint| Change::Release { checkpoint, facts: None }),
        1 => children().prop_map(|children| Change::End { children, facts: None }),
        1 => children().prop_map(|children| Change::Children { children }),
    ]
}

fn ops() -> impl Strategy<Value = Op> {
    let lease = (
        0_u8..6,
        checkpoints(),
        proptest::option::of((names(), names())),
    )
        .prop_map(|(number, checkpoint, owned)| {
            let lease = Lease::new(key(number), checkpoint);
            match owned {
                Some((owner, token)) => lease.owned_by(owner, token),
                None => lease,
            }
        });
    prop_oneof![
        3 => lease.prop_map(Op::Create),
        10 => (0_u8..6, expects(), proptest::bool::weighted(0.7), changes())
            .prop_map(|(key, expect, exact, change)| Op::Update { key, expect, exact, change }),
        1 => (0_u8..6, expects(), any::<bool>()).prop_map(|(key, expect, exact)| Op::Delete { key, expect, exact }),
        1 => (0_u8..3).prop_map(Op::CreateWorker),
        2 => (0_u8..3, any::<bool>(), any::<bool>()).prop_map(|(worker, leaving, exact)| Op::UpdateWorker { worker, leaving, exact }),
        1 => (0_u8..3, any::<bool>()).prop_map(|(worker, exact)| Op::DeleteWorker { worker, exact }),
        1 => proptest::collection::vec(0_u8..6, 0..4).prop_map(Op::Announce),
        1 => (0_u8..6).prop_map(Op::Get),
        1 => Just(Op::Scan),
    ]
}

fn worker_row(number: u8) -> WorkerRow {
    WorkerRow::new(
        format!("worker-{number}").into(),
        format!("incarnation-{number}").into(),
        Duration::from_secs(10),
    )
}

/// The row of a worker as it is, or one that it never was.
async fn seen_worker(table: &dyn LeaseTable, number: u8, exact: bool) -> Result<WorkerRow, Error> {
    let mut row = table
        .get_worker(&worker_row(number).worker)
        .await?
        .unwrap_or_else(|| worker_row(number));
    row.counter += if exact { 0 } else { 7 };
    Ok(row)
}

async fn condition(
    table: &dyn LeaseTable,
    key: &LeaseKey,
    expect: &Expect,
    exact: bool,
) -> Result<Expect, Error> {
    let mut condition = expect.clone();
    if let Some(row) = table.get(key).await?.filter(|_| exact) {
        condition = Expect::default();
        (condition.counter, condition.checkpoint) = (Some(row.counter), Some(row.checkpoint));
        condition.token = Match::exactly(row.token);
    }
    Ok(condition)
}

fn said<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
    match result {
        Ok(value) => format!("{value:?}"),
        // Whether the row that won is told, and which; the rest is words.
        Err(Error::Conflict { row }) => format!("conflict with {row:?}"),
        Err(error) => format!("another error: {error}"),
    }
}

async fn carry_out(table: &dyn LeaseTable, op: &Op) -> Result<String, Error> {
    Ok(match op {
        Op::Create(lease) => said(table.create(lease).await),
        Op::Update {
            key: number,
            expect,
            exact,
            change,
        } => {
            let key = key(*number);
            let expect = condition(table, &key, expect, *exact).await?;
            said(
                table
                    .update(&key, &Write::new(expect, change.clone()))
                    .await,
            )
        }
        Op::Delete {
            key: number,
            expect,
            exact,
        } => {
            let key = key(*number);
            let expect = condition(table, &key, expect, *exact).await?;
            said(table.delete(&key, &expect).await)
        }
        Op::CreateWorker(number) => {
            let row = worker_row(*number);
            said(table.write_worker(&row.worker, None, Some(&row)).await)
        }
        Op::UpdateWorker {
            worker,
            leaving,
            exact,
        } => {
            let seen = seen_worker(table, *worker, *exact).await?;
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
            let seen = seen_worker(table, *worker, *exact).await?;
            said(table.write_worker(&seen.worker, Some(&seen), None).await)
        }
        Op::Announce(numbers) => {
            let before = table.change_signal().await?.unwrap_or_default();
            let changed: Vec<Changed> = numbers
                .iter()
                .map(|number| Changed::Lease(key(*number)))
                .collect();
            let answer = said(table.announce(&changed).await);
            let after = table.change_signal().await?.unwrap_or_default();
            // What the values are is each table's own affair.
            format!(
                "{answer} {} {:?}",
                before.value == after.value,
                after.since(&before.value)
            )
        }
        Op::Get(number) => said(table.get(&key(*number)).await),
        Op::Scan => {
            let mut all = table.scan(None, Consistency::Strong).await?;
            while let Some(next) = all.next.clone() {
                let page = table.scan(Some(&next), Consistency::Strong).await?;
                all.append(page);
            }
            all.leases.sort_by(|one, other| one.key.cmp(&other.key));
            all.workers
                .sort_by(|one, other| one.worker.cmp(&other.worker));
            format!("{:?} {:?} {:?}", all.leases, all.workers, all.malformed)
        }
    })
}

async fn carry_all_out(table: Arc<dyn LeaseTable>, ops: &[Op]) -> Vec<String> {
    let mut answers = Vec::with_capacity(ops.len());
    for op in ops {
        answers.push(
            carry_out(&*table, op)
                .await
                .unwrap_or_else(|error| format!("unreadable: {error}")),
        );
    }
    answers
}

fn on_a_runtime<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(work)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_tables_answer_alike(ops in proptest::collection::vec(ops(), 1..60)) {
        let memory = on_a_runtime(carry_all_out(Arc::new(MemoryLeaseTable::new()), &ops));
        let fake = with_fake_table(|table| carry_all_out(table, &ops)).expect("a runtime");
        let folder = tempfile::tempdir().expect("a folder");
        let sqlite = on_a_runtime(async {
            let table = SqliteLeaseTable::open(folder.path().join("leases.sqlite"), "app").await.expect("a table");
            table.setup().await.expect("a table");
            carry_all_out(Arc::new(table), &ops).await
        });
        for (number, op) in ops.iter().enumerate() {
            prop_assert_eq!(&memory[number], &fake[number], "the fake, at {:?}", op);
            prop_assert_eq!(&memory[number], &sqlite[number], "SQLite, at {:?}", op);
        }
    }
}
