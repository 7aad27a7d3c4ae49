//! OpenTelemetry: each batch is a span `process orders`, and a count and a duration, by the semantic
//! conventions for messaging. They know no Kinesis, so `messaging.system` has a name of its own.
//!
//! Here all of it is printed. A service exports it with the crate `opentelemetry-otlp`. What the
//! worker itself counts has other names: `08_metrics` serves it, and a collector reads it there.
//!
//! ```text
//! cargo run --example 18_opentelemetry
//! ```

use examples::demo::Demo;
use kcl_core::processor::{ProcessRecordsInput, ShardRef};
use kcl_core::{BoxError, Clock, Failure, MemoryLeaseTable, RecordProcessor, SystemClock, Worker};
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram, MeterProvider};
use opentelemetry::trace::{Span, SpanKind, Tracer, TracerProvider};
use opentelemetry_sdk::{metrics::SdkMeterProvider, trace::SdkTracer, trace::SdkTracerProvider};
use opentelemetry_stdout::{MetricExporter, SpanExporter};

#[derive(Clone)]
struct Orders {
    tracer: SdkTracer,
    consumed: Counter<u64>,
    duration: Histogram<f64>,
}

impl RecordProcessor for Orders {
    async fn process_records(&mut self, input: ProcessRecordsInput) -> Result<(), Failure> {
        let (stream, shard) = (input.shard.stream.name(), input.shard.shard.as_str());
        let about = [
            KeyValue::new("messaging.system", "aws_kinesis"),
            KeyValue::new("messaging.operation.name", "process"),
            KeyValue::new("messaging.operation.type", "process"),
            KeyValue::new("messaging.destination.name", stream.to_owned()),
            KeyValue::new("messaging.destination.partition.id", shard.to_owned()),
            KeyValue::new("messaging.consumer.group.name", "telemetry"),
        ];
        let mut span = self.tracer.span_builder(format!("process {stream}"));
        (span.span_kind, span.attributes) = (Some(SpanKind::Consumer), Some(about.to_vec()));
        let mut span = span.start(&self.tracer);
        let (count, begun) = (input.records.len(), SystemClock.now());
        span.set_attribute(KeyValue::new("messaging.batch.message_count", count as i64));
        for record in &input.records {
            println!("{}", String::from_utf8_lossy(&record.data));
        }
        // A batch that fails gives both an `error.type`, and the span a status.
        let seconds = SystemClock.now().since(begun).as_secs_f64();
        self.consumed.add(count as u64, &about);
        self.duration.record(seconds, &about);
        span.end();
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let spans = SdkTracerProvider::builder().with_batch_exporter(SpanExporter::default());
    let figures = SdkMeterProvider::builder().with_periodic_exporter(MetricExporter::default());
    let (spans, figures) = (spans.build(), figures.build());
    let meter = figures.meter("orders");
    let consumed = meter.u64_counter("messaging.client.consumed.messages");
    let duration = meter.f64_histogram("messaging.process.duration");
    let orders = Orders {
        tracer: spans.tracer("orders"),
        consumed: consumed.with_unit("{message}").build(),
        duration: duration.with_unit("s").build(),
    };
    let demo = Demo::start("orders", 2, 20).await?;
    let worker = Worker::builder()
        .stream("orders")
        .source(demo.source()?)
        .application("telemetry")
        .lease_table(MemoryLeaseTable::new())
        .processor(move |_: &ShardRef| orders.clone())
        .build()?;
    let (stop, grace) = (kcl_core::stop_signal()?, std::time::Duration::from_secs(10));
    worker.run_until(stop, grace).await?;
    spans.shutdown()?;
    Ok(figures.shutdown()?)
}
