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
}

impl metrics::Recorder for Counters {
    fn describe_counter(&self, _: metrics::KeyName, _: Option<metrics::Unit>, _: metrics::SharedString) {}
    fn describe_gauge(&self, _: metrics::KeyName, _: Option<metrics::Unit>, _: metrics::SharedString) {}
    fn describe_histogram(&self, _: metrics::KeyName, _: Option<metrics::Unit>, _: metrics::SharedString) {}

    fn register_counter(&self, key: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Counter {
        let label = |name| key.labels().find(|label| label.key() == name).map_or("", |label| label.value()).to_owned();
        let key = (key.name().to_owned(), label("stream"), label("cause"));
        metrics::Counter::from_arc(Arc::clone(locked(&self.0).entry(key).or_default()))
    }

    fn register_gauge(&self, _: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Gauge {
        metrics::Gauge::noop()
    }

    fn register_histogram(&self, _: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Histogram {
        metrics::Histogram::noop()
    }
}
