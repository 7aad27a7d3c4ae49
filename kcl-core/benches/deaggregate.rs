//! What taking aggregates apart costs, beside the MD5 of the same bytes: aggregates of 400 user records of 100 bytes, with one
//! partition key, with an explicit hash key each, and with a partition key each that has to be hashed for the range check.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use kcl_core::aggregate::Aggregator;
use kcl_core::deaggregate::Deaggregator;
use kcl_core::model::{HashKeyRange, RawRecord, SequenceNumber};
use md5::{Digest, Md5};

const RECORDS: u64 = 400;
/// Aggregates a page.
const PAGE: u128 = 20;

fn page(key: impl Fn(u64) -> String, hash_key: impl Fn(u64) -> Option<u128>) -> Vec<RawRecord> {
    let limited = Aggregator::new().with_max_bytes(1024 * 1024);
    let mut aggregator = limited.expect("the KPL's limit");
    for n in 0..RECORDS {
        assert_eq!(aggregator.add(&key(n), hash_key(n), &[b'x'; 100]), Ok(None));
    }
    let data = aggregator.finish().expect("it is not empty").data;
    // Each record of a page has bytes of its own, as the service's answer has.
    (1..=PAGE).map(|n| RawRecord::new(SequenceNumber::from_u128(n), "a", data.to_vec())).collect()
}

fn bench(criterion: &mut Criterion) {
    let upper_half = HashKeyRange::new(1 << 127, u128::MAX).expect("a range");
    let deaggregator = Deaggregator::new(Some(upper_half));
    let one = |_| "customer-7".to_owned();
    let each = |n| format!("customer-{n}");
    let spread = |n: u64| Some(u128::from(n) * (u128::MAX / u128::from(RECORDS)));
    let pages = [
        ("one partition key", page(one, |_| None)),
        ("explicit hash keys", page(one, spread)),
        ("a partition key each", page(each, |_| None)),
    ];
    for (name, page) in pages {
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Bytes(page.iter().map(|raw| raw.data.len() as u64).sum()));
        group.bench_function("md5", |bencher| {
            bencher.iter(|| page.iter().map(|raw| Md5::digest(&raw.data)[0]).fold(0, u8::wrapping_add));
        });
        group.bench_function("deaggregate", |bencher| {
            // Cloned bytes would be shared already; fetched ones are not.
            let fresh = || {
                let fetched =
                    |raw: &RawRecord| RawRecord::new(raw.sequence.clone(), raw.partition_key.clone(), raw.data.to_vec());
                page.iter().map(fetched).collect()
            };
            bencher.iter_batched(fresh, |page: Vec<RawRecord>| deaggregator.take_apart(page), BatchSize::LargeInput);
        });
        group.finish();
    }
}

criterion_group!(benches, bench);
criterion_main!(benches);
