//! Time, tasks and chance: the only file of this crate that takes them from the outside.
//!
//! Everything else is given a [`Clock`], owns its tasks in a [`Tasks`] and draws from
//! [`random_token`] or [`jitter`], so that a whole worker runs on a simulated clock and from a
//! seed.
#![expect(clippy::disallowed_methods, reason = "the one file that may")]

use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use futures_util::future::{Either, select};
use tokio::task::JoinSet;

use crate::BoxError;
use crate::model::{Moment, Timestamp, Token};

/// What a worker knows of time.
#[async_trait]
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The present moment. Goes on while the machine is suspended, so that a worker that wakes up
    /// knows how long it slept.
    fn now(&self) -> Moment;

    /// The time of day, for records and messages; never to judge who is alive.
    fn wall(&self) -> Timestamp;

    /// Waits for a moment. Cancel safe.
    async fn sleep_until(&self, moment: Moment);
}

/// The machine's clocks and tokio's timer.
///
/// ```
/// use std::time::Duration;
///
/// use kcl_core::{Clock, SystemClock};
///
/// let begun = SystemClock.now();
/// println!("it is {}", SystemClock.wall());
/// assert!(SystemClock.now().since(begun) < Duration::from_secs(3600));
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> Moment {
        // CLOCK_MONOTONIC stops while a machine is suspended; an owner that wakes up would believe
        // its lease fresh.
        #[cfg(target_os = "linux")]
        let id = rustix::time::ClockId::Boottime;
        #[cfg(not(target_os = "linux"))]
        let id = rustix::time::ClockId::Monotonic;
        let now = rustix::time::clock_gettime(id);
        let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
        let nanos = u32::try_from(now.tv_nsec).unwrap_or(0);
        Moment::from_origin(Duration::new(seconds, nanos))
    }

    fn wall(&self) -> Timestamp {
        SystemTime::now().into()
    }

    async fn sleep_until(&self, moment: Moment) {
        // Timers stop with the machine: after one has fired, the clock has the last word.
        loop {
            let left = moment.since(self.now());
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left).await;
        }
    }
}

/// The result of a future, or nothing when `limit` passed first. The future is then dropped: an
/// answer may be lost by it.
pub(crate) async fn within<F: Future>(
    clock: &dyn Clock,
    limit: Duration,
    future: F,
) -> Option<F::Output> {
    let deadline = clock.now() + limit;
    match select(pin!(future), pin!(clock.sleep_until(deadline))).await {
        Either::Left((output, _)) => Some(output),
        Either::Right(_) => None,
    }
}

/// Waits this long.
pub(crate) async fn pause(clock: &dyn Clock, span: Duration) {
    clock.sleep_until(clock.now() + span).await;
}

/// Tasks with an owner: they end when it is dropped.
#[derive(Debug, Default)]
pub(crate) struct Tasks<T: 'static = ()>(JoinSet<T>);

impl<T: Send + 'static> Tasks<T> {
    pub(crate) fn new() -> Self {
        Self(JoinSet::new())
    }

    /// Starts a task on the current runtime.
    pub(crate) fn start(&mut self, task: impl Future<Output = T> + Send + 'static) {
        self.0.spawn(task);
    }

    /// Whether every task has ended and been asked about.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Forgets the tasks that have ended.
    pub(crate) fn forget_ended(&mut self) {
        while self.0.try_join_next().is_some() {}
    }

    /// Ends every task where it stands, and waits until none of them runs any more.
    pub(crate) async fn end(&mut self) {
        self.0.shutdown().await;
    }

    /// The next task that ends: its result, or its panic's message. Nothing when there is none
    /// left. Cancel safe.
    pub(crate) async fn next(&mut self) -> Option<Result<T, String>> {
        loop {
            match self.0.join_next().await? {
                Ok(output) => return Some(Ok(output)),
                Err(error) if error.is_panic() => {
                    return Some(Err(panic_message(&*error.into_panic())));
                }
                Err(_) => {}
            }
        }
    }
}

/// The result of something that blocks, on a thread for that. Dropping the future does not end it.
///
/// # Errors
/// It panicked, or the runtime ends.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, tokio::task::JoinError> {
    tokio::task::spawn_blocking(work).await
}

/// What a panic said.
pub(crate) fn panic_message(payload: &(dyn std::any::Any + Send)) -> String {
    payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".to_owned())
}

/// What a panic said. What it was raised with is dropped here.
pub(crate) fn panic_text(payload: Box<dyn std::any::Any + Send>) -> String {
    let text = panic_message(&*payload);
    drop_contained(payload);
    text
}

/// The result of something that may panic, or what its panic said.
pub(crate) fn contained<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).map_err(panic_text)
}

/// Drops what an application has made: where that panics, nothing follows.
pub(crate) fn drop_contained<T>(value: T) {
    if let Err(payload) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(value))) {
        // Its own drop may panic as well, without an end.
        std::mem::forget(payload);
    }
}

/// A panic as the error of what panicked.
pub(crate) fn panic_error(payload: &(dyn std::any::Any + Send)) -> BoxError {
    format!("panicked: {}", panic_message(payload)).into()
}

/// A thread with a runtime of its own that runs one future to its end.
///
/// # Errors
/// When the system gives no thread or no runtime.
pub(crate) fn on_own_thread<F>(
    name: &str,
    work: impl FnOnce() -> F + Send + 'static,
) -> std::io::Result<std::thread::JoinHandle<()>>
where
    F: Future<Output = ()>,
{
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || runtime.block_on(async { work().await }))
}

/// A fresh random tenancy token: 128 bits.
pub(crate) fn random_token() -> Token {
    Token::new(format!("{:032x}", fastrand::u128(..)))
}

/// A random fraction of 1, for backoff with jitter.
pub(crate) fn jitter() -> f64 {
    fastrand::f64()
}

/// The clock of the machine, shared.
pub(crate) fn system_clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}
