use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use super::locked;

/// The name of a counter, the stream that it is labelled with, and the cause, if it has one.
type NameStreamCause = (String, String, String);

/// The counters of this process.
#[derive(Clone, Default)]
pub(crate) struct Counters(Arc<Mutex<BTreeMap<NameStreamCause, Arc<AtomicU64>>>>);

impl Counters {
    /// The recorder of this process.
    pub(crate) fn of_this_process() -> &'static Self {
        static COUNTERS: OnceLock<Counters> = OnceLock::new();
        COUNTERS.get_or_init(|| {
            let counters = Self::default();
            metrics::set_global_recorder(counters.clone()).unwrap_or_else(|_| panic!("there is one recorder"));
            counters
        })
    }

    pub(crate) fn of(&self, name: &str, stream: &str) -> u64 {
        self.by(name, stream, "")
    }

    pub(crate) fn by(&self, name: &str, stream: &str, cause: &str) -> u64 {
        let counter = locked(&self.0).get(&(name.to_owned(), stream.to_owned(), cause.to_owned())).cloned();
        counter.map_or(0, |counter| counter.load(Ordering::SeqCst))
    }

    fn figure(&self, key: &metrics::Key) -> Arc<AtomicU64> {
        let label = |name| key.labels().find(|label| label.key() == name).map_or("", |label| label.value()).to_owned();
        let key = (key.name().to_owned(), label("stream"), label("cause"));
        Arc::clone(locked(&self.0).entry(key).or_default())
    }
}

impl metrics::Recorder for Counters {
    fn describe_counter(&self, _: metrics::KeyName, _: Option<metrics::Unit>, _: metrics::SharedString) {}
    fn describe_gauge(&self, _: metrics::KeyName, _: Option<metrics::Unit>, _: metrics::SharedString) {}
    fn describe_histogram(&self, _: metrics::KeyName, _: Option<metrics::Unit>, _: metrics::SharedString) {}

    fn register_counter(&self, key: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Counter {
        metrics::Counter::from_arc(self.figure(key))
    }

    /// Its largest value counts.
    fn register_gauge(&self, key: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Gauge {
        metrics::Gauge::from_arc(Arc::new(Figure(self.figure(key))))
    }

    /// How often it is recorded counts.
    fn register_histogram(&self, key: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Histogram {
        metrics::Histogram::from_arc(Arc::new(Figure(self.figure(key))))
    }
}

struct Figure(Arc<AtomicU64>);

impl metrics::GaugeFn for Figure {
    fn increment(&self, _: f64) {}
    fn decrement(&self, _: f64) {}

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "milliseconds")]
    fn set(&self, value: f64) {
        self.0.fetch_max(value as u64, Ordering::SeqCst);
    }
}

impl metrics::HistogramFn for Figure {
    fn record(&self, _: f64) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}
