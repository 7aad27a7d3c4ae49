//! Every metric, once: its name, its kind and what it means.
//!
//! The rest of the crate refers to a metric by its constant, so a name cannot be misspelt at the
//! place where it is set. Tests compare this list with the table in the docs of `meters` and with
//! the alarms and the dashboard in `docs/prometheus/`: a metric cannot be renamed in only one of
//! them.

use metrics::{
    Counter, Gauge, Histogram, Label, Unit, counter, describe_counter, describe_gauge,
    describe_histogram, gauge, histogram,
};

/// A metric: its name, kind, unit and description for the application's recorder.
#[derive(Debug)]
pub(crate) struct Figure {
    /// The name in Prometheus: `kcl_`, what is measured, the unit, and `_total` for a counter.
    pub(crate) name: &'static str,
    /// Which of the three macros of the `metrics` facade sets it.
    pub(crate) kind: FigureKind,
    /// Told to the recorder. For seconds and bytes it is part of the name as well.
    pub(crate) unit: Unit,
    /// The description for the recorder, one sentence. Prometheus shows it as the `HELP` line.
    pub(crate) what: &'static str,
}

/// The kinds of metric that the `metrics` facade has. A name keeps its kind for ever: a recorder
/// that meets it with another one drops the values or refuses them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FigureKind {
    /// It only grows, from 0 at the start of the process. A rate is computed from it by the
    /// monitoring.
    Counter,
    /// A value at this moment. It stays at its last value until it is set again, which is why the
    /// gauges of a shard are ended on purpose ([`Lag::is_over`](super::Lag::is_over)).
    Gauge,
    /// Single durations, exported as a sum and buckets.
    Histogram,
}

impl Figure {
    /// The series of this metric with these labels. To get the same one twice gives two handles to
    /// one series, so a lease that comes back continues its counters.
    pub(crate) fn counter(&self, labels: &[Label]) -> Counter {
        debug_assert_eq!(self.kind, FigureKind::Counter, "{}", self.name);
        counter!(self.name, labels.to_vec())
    }

    pub(crate) fn gauge(&self, labels: &[Label]) -> Gauge {
        debug_assert_eq!(self.kind, FigureKind::Gauge, "{}", self.name);
        gauge!(self.name, labels.to_vec())
    }

    pub(crate) fn histogram(&self, labels: &[Label]) -> Histogram {
        debug_assert_eq!(self.kind, FigureKind::Histogram, "{}", self.name);
        histogram!(self.name, labels.to_vec())
    }

    /// Tells the installed recorder the unit and the meaning. Without a recorder this does nothing.
    fn describe(&self) {
        match self.kind {
            FigureKind::Counter => describe_counter!(self.name, self.unit, self.what),
            FigureKind::Gauge => describe_gauge!(self.name, self.unit, self.what),
            FigureKind::Histogram => describe_histogram!(self.name, self.unit, self.what),
        }
    }
}

/// Describes each metric to the recorder. A worker does this when it starts to run: by then the
/// application has installed its recorder.
pub(crate) fn describe_all() {
    ALL.iter().for_each(Figure::describe);
}

macro_rules! figures {
    ($($constant:ident = $kind:ident $name:literal, $unit:ident, $what:literal;)*) => {
        $(pub(crate) const $constant: Figure =
            Figure { name: $name, kind: FigureKind::$kind, unit: Unit::$unit, what: $what };)*
        /// Every metric.
        pub(crate) const ALL: &[Figure] = &[$($constant),*];
    };
}

figures! {
    RECORDS = Counter "kcl_records_processed_total", Count, "User records processed.";
    BYTES = Counter "kcl_data_processed_bytes_total", Bytes, "Bytes of data in the user records \
        processed.";
    LAG = Gauge "kcl_behind_latest_seconds", Seconds, "How far processing is behind the tip of \
        the shard; grows while the shard is not processed.";
    UNDONE = Gauge "kcl_oldest_undone_age_seconds", Seconds, "Age of the oldest record that was \
        fetched but not yet processed; 0 if there is none.";
    IN_CALL = Gauge "kcl_handler_call_seconds", Seconds, "How long the current call to the \
        handler has been running, once it exceeds handler_warning; otherwise 0.";
    AT_WORK = Gauge "kcl_handler_calls_at_work", Count, "Calls of a handler of records or of a \
        buffer that are at work beside the calls of the processor.";
    LANES = Gauge "kcl_handler_lanes", Count, "Lanes of a handler of records, or keys of a buffer, \
        with records that are not done.";
    GATHERED = Gauge "kcl_buffer_records", Count, "Records that a buffer has gathered and not \
        begun to flush.";
    GATHERED_BYTES = Gauge "kcl_buffer_data_bytes", Bytes, "Bytes of data in the records that a \
        buffer has gathered.";
    GATHERED_AGE = Gauge "kcl_buffer_age_seconds", Seconds, "How long the oldest record has been \
        in a buffer; 0 if there is none.";
    FLUSHES = Counter "kcl_buffer_flushes_total", Count, "Flushes of a buffer that have begun, by \
        cause.";
    HANDLER_RETRIES = Counter "kcl_handler_retries_total", Count, "Calls of a handler of records \
        or of a buffer, or of a bisected batch, that followed a failed one.";
    DEAD_LETTERS = Counter "kcl_dead_letters_total", Count, "Records that were accepted as dead \
        letters, by cause.";
    LETTERS_REFUSED = Counter "kcl_dead_letters_refused_total", Count, "Deliveries of a dead letter \
        that failed.";
    SKIPPED = Counter "kcl_records_skipped_total", Count, "Records that failed and were skipped, \
        by cause.";
    FAILING = Gauge "kcl_shard_failing_seconds", Seconds, "How long every call has failed, by \
        what failed: the handler, or reading the shard; 0 while calls succeed.";
    HELD = Gauge "kcl_lease_held", Count, "1 while this worker holds the lease of the shard, 0 \
        afterwards.";
    PROCESS = Histogram "kcl_process_records_duration_seconds", Seconds, "Duration of a call to \
        process_records.";
    INITIALIZE = Histogram "kcl_initialize_duration_seconds", Seconds, "Duration of a call to \
        initialize.";
    PROCESS_FAILED = Counter "kcl_process_records_failures_total", Count, "Calls to process_records that failed.";
    GET_RECORDS = Histogram "kcl_get_records_duration_seconds", Seconds, "Duration of a \
        GetRecords call that was answered.";
    THROTTLED = Counter "kcl_get_records_throttled_total", Count, "GetRecords calls that the \
        service throttled.";
    RETRIED = Counter "kcl_get_records_retries_total", Count, "GetRecords calls that failed for \
        another reason and were retried, by cause.";
    EXPIRED = Counter "kcl_expired_iterators_total", Count, "Shard iterators that expired and had \
        to be replaced.";
    SUBSCRIBED = Counter "kcl_subscriptions_opened_total", Count, "Subscriptions opened by \
        SubscribeToShard.";
    SUBSCRIPTION_ENDS = Counter "kcl_subscriptions_ended_total", Count, "Subscriptions that \
        ended, by cause.";
    SUBSCRIBE_REFUSED = Counter "kcl_subscribe_to_shard_refused_total", Count, "SubscribeToShard calls that opened no subscription, by cause.";
    SUBSCRIBE = Histogram "kcl_subscribe_to_shard_duration_seconds", Seconds, "Duration of a SubscribeToShard call up to its first response.";
    EVENTS = Counter "kcl_subscription_events_total", Count, "Events received by subscriptions.";
    EMPTY_EVENTS = Counter "kcl_subscription_empty_events_total", Count, "Events received without \
        a record.";
    EVENT_BYTES = Counter "kcl_subscription_received_bytes_total", Bytes, "Bytes of data in the \
        records received by subscriptions.";
    EVENT_WAIT = Histogram "kcl_subscription_wait_seconds", Seconds, "Time spent waiting for one \
        event.";
    AGGREGATES = Counter "kcl_aggregates_total", Count, "Kinesis records that were aggregates and \
        were deaggregated.";
    CORRUPT = Counter "kcl_corrupt_aggregates_total", Count, "Kinesis records that start like an \
        aggregate but are not a valid one.";
    OUT_OF_RANGE = Counter "kcl_user_records_out_of_range_total", Count, "User records outside \
        the hash key range of their shard.";
    ENDS_REFUSED = Counter "kcl_shard_ends_refused_total", Count, "Responses that said a shard \
        had ended while it was listed as open.";
    GAPS = Counter "kcl_data_gaps_total", Count, "Ranges of records that expired unread, or may \
        have.";
    CHECKPOINT = Histogram "kcl_checkpoint_duration_seconds", Seconds, "Duration of a call to a \
        Checkpointer, until the checkpoint was acknowledged.";
    LEASES = Gauge "kcl_leases", Count, "Leases that this worker holds.";
    TAKEN = Counter "kcl_leases_taken_total", Count, "Leases that this worker took or created.";
    LOST = Counter "kcl_leases_lost_total", Count, "Leases that this worker lost involuntarily.";
    BUDGET = Gauge "kcl_byte_budget_used_bytes", Bytes, "Memory counted against the byte budget.";
    TABLE_FAILING = Gauge "kcl_lease_table_failing_seconds", Seconds, "How long every read or \
        every write of the lease table has failed; 0 while they succeed.";
    STREAM_FAILING = Gauge "kcl_stream_failing_seconds", Seconds, "How long the shards of the \
        stream could not be listed, for example because it does not exist; 0 while they can be.";
    UNREAD = Gauge "kcl_leases_unread", Count, "Leases that no worker reads, or that this worker \
        cannot read, by cause: no_room (this worker holds max_leases), malformed (the row in the \
        lease table), unreadable (the calls of this worker fail).";
    HAPPENED = Counter "kcl_events_total", Count, "Events of the worker, by kind.";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The rows of the table in this module's docs: name and kind.
    fn documented() -> BTreeSet<(&'static str, &'static str)> {
        let lines = include_str!("mod.rs").lines();
        let rows = lines.filter_map(|line| line.strip_prefix("//! | `"));
        rows.map(|row| {
            let (name, rest) = row.split_once("` | ").unwrap();
            (name, rest.split([',', ' ']).next().unwrap())
        })
        .collect()
    }

    #[test]
    fn every_figure_is_documented_and_nothing_else_is() {
        let kinds = |figure: &Figure| match figure.kind {
            FigureKind::Counter => "counter",
            FigureKind::Gauge => "gauge",
            FigureKind::Histogram => "histogram",
        };
        let all: BTreeSet<_> = ALL
            .iter()
            .map(|figure| (figure.name, kinds(figure)))
            .collect();
        assert_eq!(documented(), all);
        assert_eq!(all.len(), ALL.len(), "each name once");
    }

    const PAGE: &str = include_str!("../../docs/operations.md");
    const RULES: &str = include_str!("../../docs/prometheus/alerts.yml");
    const BOARD: &str = include_str!("../../docs/prometheus/dashboard.json");
    const HANDLERS: &str = include_str!("../../docs/handlers.md");

    /// A histogram is exported with the sum and the buckets of what it has recorded.
    #[test]
    fn every_metric_on_the_pages_exists() {
        let words = [PAGE, RULES, BOARD, HANDLERS]
            .into_iter()
            .flat_map(|text| text.split(|of: char| !of.is_ascii_alphanumeric() && of != '_'));
        let named: BTreeSet<_> = words
            .filter(|word| word.starts_with("kcl_") && *word != "kcl_core")
            .collect();
        assert!(named.len() > 10, "{named:?}");
        for name in named {
            let is_of = |figure: &Figure| {
                let of = |suffix| name.strip_suffix(suffix) == Some(figure.name);
                name == figure.name || of("_sum") || of("_bucket")
            };
            assert!(ALL.iter().any(is_of), "{name}");
        }
    }

    /// Of the alarms on the page, each is one of the rules.
    #[test]
    fn the_page_and_the_rules_have_the_same_alarms() {
        let in_one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let rules = in_one_line(RULES);
        let (_, alarms) = PAGE.split_once("\n## Alarms\n").expect("a section");
        let (alarms, _) = alarms.split_once("\n## ").expect("its end");
        let expressions: Vec<_> = alarms
            .split(['`'])
            .map(|text| in_one_line(text.trim_start_matches("text")))
            .filter(|text| text.contains("kcl_") && text.contains([' ']))
            .filter(|text| text.contains(" > ") || text.contains(" < "))
            .filter(|text| text.ends_with(|last: char| last.is_ascii_digit() || last == ')'))
            .collect();
        assert!(expressions.len() >= 12, "{expressions:?}");
        for expression in expressions {
            assert!(rules.contains(&expression), "{expression}");
        }
    }

    #[test]
    fn each_rule_leads_to_a_section_of_the_page() {
        let sections: BTreeSet<_> = PAGE
            .lines()
            .filter_map(|line| line.strip_prefix('#'))
            .map(|heading| heading.trim_start_matches('#').trim())
            .map(|heading| heading.to_lowercase().replace(' ', "-"))
            .collect();
        let runbooks = RULES.lines().filter_map(|line| {
            line.trim()
                .strip_prefix("runbook: operations.md#")
                .map(ToOwned::to_owned)
        });
        let named: BTreeSet<_> = runbooks.collect();
        assert!(named.len() > 5 && named.is_subset(&sections), "{named:?}");
    }

    #[test]
    fn every_name_has_the_prefix_and_the_unit_of_prometheus() {
        for figure in ALL {
            let rest = figure
                .name
                .strip_prefix("kcl_")
                .unwrap_or_else(|| panic!("{}", figure.name));
            assert!(
                rest.bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte == b'_'),
                "{}",
                figure.name
            );
            let (rest, is_total) = rest
                .strip_suffix("_total")
                .map_or((rest, false), |rest| (rest, true));
            assert_eq!(
                is_total,
                figure.kind == FigureKind::Counter,
                "{}",
                figure.name
            );
            assert_eq!(
                rest.ends_with("_seconds"),
                figure.unit == Unit::Seconds,
                "{}",
                figure.name
            );
            assert_eq!(
                rest.ends_with("_bytes"),
                figure.unit == Unit::Bytes,
                "{}",
                figure.name
            );
            assert!(figure.what.ends_with('.'), "{}", figure.what);
        }
    }
}
