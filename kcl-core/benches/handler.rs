//! What the framework itself costs from an in-memory stream to the handler: nanoseconds a record in
//! large pages, and nanoseconds a batch where every page holds one record. And what it costs to
//! give single records to a handler.
#![expect(
    clippy::disallowed_methods,
    reason = "a benchmark reads the machine's clock"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use kcl_core::handler::{
    BufferHandler, ByRecord, DecodedHandler, FlushContext, RecordContext, RecordHandler,
    ShardRecord, SharedBufferHandler, SharedFlushContext, buffer, by_key, decode, in_order,
    shared_buffer, unordered,
};
use kcl_core::lease::memory::MemoryLeaseTable;
use kcl_core::model::Record;
use kcl_core::processor::{ProcessRecordsInput, RecordProcessorFactory, ShardRef};
use kcl_core::stream::memory::MemoryStream;
use kcl_core::{BoxError, Failure, RecordProcessor, Worker};
use tokio::sync::Notify;

struct Count {
    left: AtomicU64,
    first: Notify,
    done: Notify,
}

#[derive(Clone)]
struct Counter(Arc<Count>);

impl RecordProcessor for Counter {
    async fn process_records(&mut self, input: ProcessRecordsInput) -> Result<(), Failure> {
        self.done(input.records.len());
        Ok(())
    }
}

impl RecordHandler for Counter {
    async fn handle(&self, _: &Record, _: &RecordContext) -> Result<(), BoxError> {
        self.done(1);
        Ok(())
    }
}

impl Counter {
    fn done(&self, records: usize) {
        self.0.first.notify_one();
        let records = records as u64;
        if self.0.left.fetch_sub(records, Ordering::Relaxed) == records {
            self.0.done.notify_one();
        }
    }
}

impl DecodedHandler for Counter {
    type Value = usize;

    async fn handle(&self, _: usize, _: &Record, _: &RecordContext) -> Result<(), BoxError> {
        self.done(1);
        Ok(())
    }
}

impl BufferHandler for Counter {
    async fn flush(&self, records: &[Record], _: &FlushContext) -> Result<(), Failure> {
        self.done(records.len());
        Ok(())
    }
}

impl SharedBufferHandler for Counter {
    async fn flush(&self, records: &[ShardRecord], _: &SharedFlushContext) -> Result<(), Failure> {
        self.done(records.len());
        Ok(())
    }
}

/// One worker over the whole stream: the time from the first call of the handler to the last.
async fn run<P: RecordProcessorFactory>(
    stream: &MemoryStream,
    records: u64,
    limit: u32,
    processors: impl Fn(Counter) -> P,
) -> Duration {
    let count = Arc::new(Count {
        left: AtomicU64::new(records),
        first: Notify::new(),
        done: Notify::new(),
    });
    let worker = Worker::builder()
        .stream("bench")
        .application("bench")
        .source(stream.clone())
        .lease_table(MemoryLeaseTable::new())
        .max_records(limit)
        .calls_per_second(1_000_000)
        .processor(processors(Counter(Arc::clone(&count))))
        .build()
        .unwrap();
    let (ran, elapsed) = tokio::join!(worker.run(), async {
        count.first.notified().await;
        let begun = Instant::now();
        count.done.notified().await;
        let elapsed = begun.elapsed();
        worker.shutdown(Duration::from_secs(10)).await;
        elapsed
    });
    ran.unwrap();
    elapsed
}

fn handler(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let mut group = criterion.benchmark_group("memory stream to handler");
    group.sample_size(10);
    for (name, records, limit) in [
        (
            "a record of 100 bytes, pages of 10,000",
            400_000_u64,
            10_000,
        ),
        ("a batch of one record", 20_000, 1),
    ] {
        let stream = MemoryStream::new("bench", 1);
        stream
            .put_many((0..records).map(|n| (format!("key-{}", n % 100), vec![b'x'; 100])))
            .unwrap();
        group.throughput(Throughput::Elements(records));
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|iterations| {
                let batches = |counter: Counter| move |_: &ShardRef| counter.clone();
                (0..iterations)
                    .map(|_| runtime.block_on(run(&stream, records, limit, batches)))
                    .sum::<Duration>()
            });
        });
    }
    group.finish();
}

/// What a record costs more than in a batch, with 1,000 keys in one shard.
fn lanes(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let mut group = criterion.benchmark_group("memory stream to handler of records");
    group.sample_size(10);
    let records = 400_000_u64;
    let stream = MemoryStream::new("bench", 1);
    stream
        .put_many((0..records).map(|n| (format!("key-{}", n % 1000), vec![b'x'; 100])))
        .unwrap();
    group.throughput(Throughput::Elements(records));
    type Adapter = fn(Counter) -> ByRecord<Counter>;
    let adapters: [(&str, Adapter); 3] = [
        ("in_order", |counter| in_order(counter)),
        ("by_key(256)", |counter| by_key(256, counter)),
        ("unordered(256)", |counter| unordered(256, counter)),
    ];
    for (name, adapter) in adapters {
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|iterations| {
                (0..iterations)
                    .map(|_| runtime.block_on(run(&stream, records, 10_000, adapter)))
                    .sum::<Duration>()
            });
        });
    }
    let size = |record: &Record| -> Result<usize, BoxError> { Ok(record.data.len()) };
    group.bench_function("by_key(256), decoded", |bencher| {
        bencher.iter_custom(|iterations| {
            let adapter = |counter| by_key(256, decode(size, counter));
            (0..iterations)
                .map(|_| runtime.block_on(run(&stream, records, 10_000, adapter)))
                .sum::<Duration>()
        });
    });
    group.bench_function("buffer", |bencher| {
        bencher.iter_custom(|iterations| {
            (0..iterations)
                .map(|_| runtime.block_on(run(&stream, records, 10_000, buffer)))
                .sum::<Duration>()
        });
    });
    group.bench_function("shared_buffer", |bencher| {
        bencher.iter_custom(|iterations| {
            (0..iterations)
                .map(|_| runtime.block_on(run(&stream, records, 10_000, shared_buffer)))
                .sum::<Duration>()
        });
    });
    group.finish();
}

criterion_group!(benches, handler, lanes);
criterion_main!(benches);
