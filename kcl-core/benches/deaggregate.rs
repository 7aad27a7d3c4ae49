//! What taking aggregates apart costs, beside the MD5 of the same bytes: aggregates of 400 user
//! records of 100 bytes, with one partition key, with an explicit hash key each, and with a
//! partition key each that has to be hashed for the range check. Pages have 20 of them, and one at
//! last: there nothing can be digested side by side, and what the rest costs is seen by itself.
//!
//! Processor time of the thread is measured, which other processes disturb less than the time of a
//! clock. At the end the two are run in turns over the very same bytes, and the median of their
//! ratios is printed.

use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use kcl_core::aggregate::Aggregator;
use kcl_core::model::{HashKeyRange, RawRecord, SequenceNumber};
use kcl_core::testing::internals::{Deaggregator, UserRecords};
use md5::{Digest, Md5};
use rustix::time::{ClockId, clock_gettime};

const RECORDS: u64 = 400;
/// Aggregates a page.
const PAGE: u128 = 20;
/// Aggregates of a page that has few.
const FEW: u128 = 1;
/// How often the two are run in turns.
const TURNS: usize = 301;

/// Nanoseconds that this thread has used.
fn cpu() -> u64 {
    let used = clock_gettime(ClockId::ThreadCPUTime);
    u64::try_from(used.tv_sec * 1_000_000_000 + used.tv_nsec).expect("time that was used")
}

struct CpuTime;

impl Measurement for CpuTime {
    type Intermediate = u64;
    type Value = u64;

    fn start(&self) -> u64 {
        cpu()
    }

    fn end(&self, start: u64) -> u64 {
        cpu() - start
    }

    fn add(&self, one: &u64, other: &u64) -> u64 {
        one + other
    }

    fn zero(&self) -> u64 {
        0
    }

    fn to_f64(&self, value: &u64) -> f64 {
        *value as f64
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        // It formats nanoseconds.
        WallTime.formatter()
    }
}

/// A page, and the most that taking it apart may cost over the MD5 of its bytes, where there is a
/// limit.
struct Case {
    name: &'static str,
    page: Vec<RawRecord>,
    limit: Option<f64>,
}

fn cases() -> [Case; 6] {
    let one = |_| "customer-7".to_owned();
    let each = |n| format!("customer-{n}");
    let spread = |n: u64| Some(u128::from(n) * (u128::MAX / u128::from(RECORDS)));
    [
        Case {
            name: "one partition key",
            page: page(PAGE, one, |_| None),
            limit: Some(1.35),
        },
        Case {
            name: "explicit hash keys",
            page: page(PAGE, one, spread),
            limit: Some(1.35),
        },
        Case {
            name: "a partition key each",
            page: page(PAGE, each, |_| None),
            limit: Some(1.9),
        },
        Case {
            name: "one partition key, one aggregate",
            page: page(FEW, one, |_| None),
            limit: None,
        },
        Case {
            name: "explicit hash keys, one aggregate",
            page: page(FEW, one, spread),
            limit: None,
        },
        Case {
            name: "a partition key each, one aggregate",
            page: page(FEW, each, |_| None),
            limit: None,
        },
    ]
}

fn page(
    aggregates: u128,
    key: impl Fn(u64) -> String,
    hash_key: impl Fn(u64) -> Option<u128>,
) -> Vec<RawRecord> {
    let limited = Aggregator::new().with_max_bytes(1024 * 1024);
    let mut aggregator = limited.expect("the KPL's limit");
    for n in 0..RECORDS {
        assert_eq!(aggregator.add(&key(n), hash_key(n), &[b'x'; 100]), Ok(None));
    }
    let data = aggregator.finish().expect("it is not empty").data;
    (1..=aggregates)
        .map(|n| RawRecord::new(SequenceNumber::from_u128(n), "a", data.to_vec()))
        .collect()
}

/// The page with bytes of its own, as a fetched one has them; cloned bytes would be shared already.
fn fresh(page: &[RawRecord]) -> Vec<RawRecord> {
    page.iter()
        .map(|raw| {
            RawRecord::new(
                raw.sequence.clone(),
                raw.partition_key.clone(),
                raw.data.to_vec(),
            )
        })
        .collect()
}

fn md5(page: &[RawRecord]) -> u8 {
    page.iter()
        .map(|raw| Md5::digest(&raw.data)[0])
        .fold(0, u8::wrapping_add)
}

/// Of a range that some keys are outside of: every key is looked at.
fn take_apart(page: Vec<RawRecord>) -> UserRecords {
    let upper_half = HashKeyRange::new(1 << 127, u128::MAX).expect("a range");
    Deaggregator::new(Some(upper_half)).take_apart(page)
}

fn bench(criterion: &mut Criterion<CpuTime>) {
    for Case { name, page, .. } in cases() {
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Bytes(
            page.iter().map(|raw| raw.data.len() as u64).sum(),
        ));
        group.bench_function("md5", |bencher| bencher.iter(|| md5(&page)));
        group.bench_function("deaggregate", |bencher| {
            bencher.iter_batched(|| fresh(&page), take_apart, BatchSize::PerIteration);
        });
        group.finish();
    }
}

fn ratios(_: &mut Criterion<CpuTime>) {
    for Case { name, page, limit } in cases() {
        let mut taken = Vec::with_capacity(TURNS);
        let mut with_drop = Vec::with_capacity(TURNS);
        for _ in 0..TURNS {
            let page = fresh(&page);
            let start = cpu();
            std::hint::black_box(md5(&page));
            let digested = cpu();
            let apart = std::hint::black_box(take_apart(page));
            let done = cpu();
            drop(apart);
            let dropped = cpu();
            let digest = (digested - start) as f64;
            taken.push((done - digested) as f64 / digest);
            with_drop.push((dropped - digested) as f64 / digest);
        }
        let [taken, with_drop] = [taken, with_drop].map(|mut ratios| {
            ratios.sort_by(f64::total_cmp);
            [
                ratios[TURNS / 10],
                ratios[TURNS / 2],
                ratios[TURNS * 9 / 10],
            ]
        });
        let limit = limit
            .map(|limit| format!(" (at most {limit} is wanted)"))
            .unwrap_or_default();
        println!(
            "{name}: {:.3} times the MD5{limit}, {:.2} to {:.2} in eight of ten turns; {:.3} with \
             the records' drop",
            taken[1], taken[0], taken[2], with_drop[1]
        );
    }
}

criterion_group!(name = benches; config = Criterion::default().with_measurement(CpuTime); targets = bench, ratios);
criterion_main!(benches);
