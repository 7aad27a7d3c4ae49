use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use super::locked;

/// The name of a counter, the stream that it is labelled with, and the cause, if it has one.
type NameStreamCause = (String, String, String);

/// What gauges show, by all that they are labelled with.
type Gauges = Arc<Mutex<BTreeMap<(String, BTreeMap<String, String>), f64>>>;

/// The unit of each figure, and what is said of it.
type Described = Arc<Mutex<BTreeMap<String, (Option<metrics::Unit>, String)>>>;

/// The counters of this process.
#[derive(Clone, Default)]
pub(crate) struct Counters {
    counted: Arc<Mutex<BTreeMap<NameStreamCause, Arc<AtomicU64>>>>,
    gauges: Gauges,
    described: Described,
}

impl Counters {
    /// The recorder of this process.
    pub(crate) fn of_this_process() -> &'static Self {
        static COUNTERS: OnceLock<Counters> = OnceLock::new();
        COUNTERS.get_or_init(|| {
            let counters = Self::default();
            metrics::set_global_recorder(counters.clone())
                .unwrap_or_else(|_| panic!("there is one recorder"));
            counters
        })
    }

    pub(crate) fn of(&self, name: &str, stream: &str) -> u64 {
        self.by(name, stream, "")
    }

    /// Those with this cause, or of this kind of event.
    pub(crate) fn by(&self, name: &str, stream: &str, cause: &str) -> u64 {
        let counter = locked(&self.counted)
            .get(&(name.to_owned(), stream.to_owned(), cause.to_owned()))
            .cloned();
        counter.map_or(0, |counter| counter.load(Ordering::SeqCst))
    }

    /// What the gauges of this name show that bear these labels, among others.
    pub(crate) fn gauges(&self, name: &str, labels: &[(&str, &str)]) -> Vec<f64> {
        let bears = |own: &BTreeMap<String, String>| {
            labels
                .iter()
                .all(|(name, value)| own.get(*name).is_some_and(|own| own == value))
        };
        let gauges = locked(&self.gauges);
        gauges
            .iter()
            .filter(|((own, labels), _)| own == name && bears(labels))
            .map(|(_, value)| *value)
            .collect()
    }

    /// The labels of the gauges of this name.
    pub(crate) fn labels(&self, name: &str) -> Vec<BTreeMap<String, String>> {
        locked(&self.gauges)
            .keys()
            .filter(|(own, _)| own == name)
            .map(|(_, labels)| labels.clone())
            .collect()
    }

    /// The names that a figure was made for.
    pub(crate) fn names(&self) -> std::collections::BTreeSet<String> {
        locked(&self.counted)
            .keys()
            .map(|(name, _, _)| name.clone())
            .collect()
    }

    /// What was told of the figures: their units.
    pub(crate) fn described(&self) -> BTreeMap<String, (Option<metrics::Unit>, String)> {
        locked(&self.described).clone()
    }

    fn describe(
        &self,
        name: &metrics::KeyName,
        unit: Option<metrics::Unit>,
        what: &metrics::SharedString,
    ) {
        locked(&self.described).insert(name.as_str().to_owned(), (unit, what.to_string()));
    }

    fn figure(&self, key: &metrics::Key) -> Arc<AtomicU64> {
        let label = |name| {
            key.labels()
                .find(|label| label.key() == name)
                .map_or("", |label| label.value())
                .to_owned()
        };
        let kind = [label("cause"), label("event")].concat();
        let key = (key.name().to_owned(), label("stream"), kind);
        Arc::clone(locked(&self.counted).entry(key).or_default())
    }
}

impl metrics::Recorder for Counters {
    fn describe_counter(
        &self,
        name: metrics::KeyName,
        unit: Option<metrics::Unit>,
        what: metrics::SharedString,
    ) {
        self.describe(&name, unit, &what);
    }

    fn describe_gauge(
        &self,
        name: metrics::KeyName,
        unit: Option<metrics::Unit>,
        what: metrics::SharedString,
    ) {
        self.describe(&name, unit, &what);
    }

    fn describe_histogram(
        &self,
        name: metrics::KeyName,
        unit: Option<metrics::Unit>,
        what: metrics::SharedString,
    ) {
        self.describe(&name, unit, &what);
    }

    fn register_counter(&self, key: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Counter {
        metrics::Counter::from_arc(self.figure(key))
    }

    /// Its largest value counts; what it shows is kept beside that.
    fn register_gauge(&self, key: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Gauge {
        let labels = key
            .labels()
            .map(|label| (label.key().to_owned(), label.value().to_owned()))
            .collect();
        let shown = (Arc::clone(&self.gauges), (key.name().to_owned(), labels));
        metrics::Gauge::from_arc(Arc::new(Shown {
            largest: Figure(self.figure(key)),
            shown,
        }))
    }

    /// How often it is recorded counts.
    fn register_histogram(
        &self,
        key: &metrics::Key,
        _: &metrics::Metadata<'_>,
    ) -> metrics::Histogram {
        metrics::Histogram::from_arc(Arc::new(Figure(self.figure(key))))
    }
}

struct Figure(Arc<AtomicU64>);

struct Shown {
    largest: Figure,
    shown: (Gauges, (String, BTreeMap<String, String>)),
}

impl metrics::GaugeFn for Shown {
    fn increment(&self, _: f64) {}
    fn decrement(&self, _: f64) {}

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "milliseconds"
    )]
    fn set(&self, value: f64) {
        self.largest.0.fetch_max(value as u64, Ordering::SeqCst);
        let (gauges, key) = &self.shown;
        locked(gauges).insert(key.clone(), value);
    }
}

impl metrics::HistogramFn for Figure {
    fn record(&self, _: f64) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}
