//! Putting a worker together: every setting is checked, and what is wrong is said.

use std::time::Duration;

use crate::support::{Scribe, Script, Seen};
use kcl_core::ByteBudget;
use kcl_core::lease::memory::MemoryLeaseTable;
use kcl_core::model::Timestamp;
use kcl_core::processor::ShardRef;
use kcl_core::stream::memory::MemoryStream;
use kcl_core::worker::{Builder, FanOutConfig, Mode};
use kcl_core::{Clock, InitialPosition, SystemClock, Worker};

fn whole() -> Builder {
    Worker::builder()
        .stream("orders")
        .application("tests")
        .source(MemoryStream::new("orders", 1))
        .lease_table(MemoryLeaseTable::new())
        .processor(|_: &ShardRef| Scribe {
            seen: Seen::default(),
            script: Script::default(),
        })
}

#[test]
fn an_invalid_setting_is_named_with_its_value_and_range() {
    type Case = (
        &'static str,
        &'static str,
        &'static str,
        fn(Builder) -> Builder,
    );
    const MILLI: Duration = Duration::from_millis(1);
    const DAY: Duration = Duration::from_secs(24 * 3600);
    let cases: [Case; 26] = [
        ("failover", "999ms", "1s to 3600s", |b| {
            b.failover(MILLI * 999)
        }),
        ("failover", "86400s", "1s to 3600s", |b| b.failover(DAY)),
        ("max_leases", "0", "1 to ", |b| b.max_leases(0)),
        ("capacity", "0", "0.001 to 1,000,000", |b| b.capacity(0.0)),
        ("capacity", "NaN", "0.001 to 1,000,000", |b| {
            b.capacity(f64::NAN)
        }),
        ("max_records", "0", "1 to 10000", |b| b.max_records(0)),
        ("max_records", "10001", "1 to 10000", |b| {
            b.max_records(10_001)
        }),
        ("calls_per_second", "0", "1 to 1000000", |b| {
            b.calls_per_second(0)
        }),
        ("calls_per_second", "1000001", "1 to 1000000", |b| {
            b.calls_per_second(1_000_001)
        }),
        ("idle_ceiling", "0ns", "1ms to 60s", |b| {
            b.idle_ceiling(Duration::ZERO)
        }),
        ("idle_ceiling", "61s", "1ms to 60s", |b| {
            b.idle_ceiling(MILLI * 61_000)
        }),
        ("call_limit", "99ms", "100ms to 3600s", |b| {
            b.call_limit(MILLI * 99)
        }),
        ("call_limit", "86400s", "100ms to 3600s", |b| {
            b.call_limit(DAY)
        }),
        ("checkpoint_every", "0ns", "1ms to 3600s", |b| {
            b.checkpoint_every(Duration::ZERO)
        }),
        ("checkpoint_every", "86400s", "1ms to 3600s", |b| {
            b.checkpoint_every(DAY)
        }),
        ("handler_budget", "1ms", "1s to 86400s", |b| {
            b.handler_budget(MILLI)
        }),
        ("handler_budget", "172800s", "1s to 86400s", |b| {
            b.handler_budget(DAY * 2)
        }),
        ("retry_from", "0ns", "1ms to 3600s", |b| {
            b.retry_pause(Duration::ZERO, MILLI)
        }),
        ("retry_to", "1ms", "5ms to 3600s", |b| {
            b.retry_pause(MILLI * 5, MILLI)
        }),
        ("retry_to", "86400s", "1ms to 3600s", |b| {
            b.retry_pause(MILLI, DAY)
        }),
        ("audit_every", "1ms", "1s to 86400s", |b| {
            b.audit_every(MILLI)
        }),
        ("stream", "`no such name`", "", |b| b.stream("no such name")),
        ("application", "``", "a name of 1 to 255", |b| {
            b.application("")
        }),
        ("worker_id", "`a b`", "a name of 1 to 255", |b| {
            b.worker_id("a b")
        }),
        ("mode", "`a/b`", "1 to 128 letters", |b| {
            b.mode(Mode::FanOut(FanOutConfig::managed().name("a/b")))
        }),
        ("mode", "`arn:x`", "of the stream that is read", |b| {
            b.mode(Mode::Auto(FanOutConfig::external("arn:x")))
        }),
    ];
    for (setting, value, allowed, change) in cases {
        let error = change(whole()).build().expect_err(setting);
        assert_eq!((error.setting, error.value.as_str()), (setting, value));
        assert!(
            error.allowed.contains(allowed) && !error.allowed.is_empty(),
            "{error}"
        );
        let text = error.to_string();
        assert!(
            text.contains(setting) && text.contains(value) && text.contains(&error.allowed),
            "{text}"
        );
    }
    whole().build().unwrap();
}

#[test]
fn what_is_required_and_missing_is_named() {
    let processor = |_: &ShardRef| Scribe {
        seen: Seen::default(),
        script: Script::default(),
    };
    let cases: [(&str, Builder); 4] = [
        ("stream", Worker::builder()),
        ("application", Worker::builder().stream("orders")),
        (
            "lease_table",
            Worker::builder()
                .stream("orders")
                .application("tests")
                .processor(processor),
        ),
        (
            "processor",
            Worker::builder()
                .stream("orders")
                .application("tests")
                .lease_table(MemoryLeaseTable::new()),
        ),
    ];
    for (setting, builder) in cases {
        let error = builder.build().expect_err(setting);
        assert_eq!((error.setting, error.value.as_str()), (setting, "nothing"));
    }
}

#[test]
fn a_first_position_in_the_future_is_refused_until_it_has_come() {
    let now = SystemClock.wall().as_millis();
    let future = Timestamp::from_millis(now + 60_000);
    let error = whole()
        .initial_position(InitialPosition::AtTimestamp(future))
        .build()
        .unwrap_err();
    assert_eq!(error.setting, "initial_position");
    assert!(
        error.value.contains(&future.to_string()) && error.allowed.contains("a time that has come"),
        "{error}"
    );
    whole()
        .initial_position(InitialPosition::AtTimestamp(Timestamp::from_millis(now)))
        .build()
        .unwrap();
}

#[test]
fn a_budget_below_one_page_is_refused() {
    let error = ByteBudget::new(10 * 1024 * 1024 - 1)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("10485759") && error.contains("10 MiB"),
        "{error}"
    );
    ByteBudget::new(10 * 1024 * 1024).unwrap();
}

#[test]
fn workers_without_a_name_have_different_ones() {
    let [one, other] = [whole().build().unwrap(), whole().build().unwrap()];
    assert_ne!(one.id(), other.id());
}
