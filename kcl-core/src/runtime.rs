//! Time, tasks and randomness: the only file of this crate that gets them from the system.
//!
//! All other code receives a [`Clock`], keeps its tasks in a [`Tasks`], and draws random numbers
//! from [`random_token`] or [`jitter`], so that a simulation can run a whole worker on a simulated
//! clock and with seeded randomness.
#![expect(clippy::disallowed_methods, reason = "the only file that may use them")]

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

/// The source of time for a worker.
#[async_trait]
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The current moment. The clock must keep running while the machine is suspended, so that a
    /// worker knows after a wake-up how long it was suspended.
    fn now(&self) -> Moment;

    /// The wall-clock time, for records and messages. Never used to decide whether a worker is
    /// alive.
    fn wall(&self) -> Timestamp;

    /// Waits until this moment. Cancel safe.
    async fn sleep_until(&self, moment: Moment);
}

/// The system's clocks and tokio's timer.
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
        // CLOCK_MONOTONIC stops while the machine is suspended; after a wake-up an owner would
        // believe that its lease is still valid.
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
        // Timers stop while the machine is suspended, so the clock is checked after one has fired.
        loop {
            let left = moment.since(self.now());
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left).await;
        }
    }
}

/// The result of a future, or `None` if `limit` passes first. The future is then dropped, which may
/// lose an answer.
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

/// A set of tasks with an owner: they are aborted when it is dropped.
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

    /// Whether every task has ended and its result has been taken.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Removes the tasks that have ended.
    pub(crate) fn forget_ended(&mut self) {
        while self.0.try_join_next().is_some() {}
    }

    /// Aborts every task, and waits until none of them runs any more.
    pub(crate) async fn end(&mut self) {
        self.0.shutdown().await;
    }

    /// Waits for the next task that ends, and returns its result or the message of its panic.
    /// `None` if no task is left. Cancel safe.
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

/// Runs blocking code on a thread for such code, and returns its result. Dropping the future does
/// not stop the code.
///
/// # Errors
/// If it panicked, or the runtime is shutting down.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, tokio::task::JoinError> {
    tokio::task::spawn_blocking(work).await
}

/// The message of a panic.
pub(crate) fn panic_message(payload: &(dyn std::any::Any + Send)) -> String {
    payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".to_owned())
}

/// The message of a panic. Drops the payload of the panic.
pub(crate) fn panic_text(payload: Box<dyn std::any::Any + Send>) -> String {
    let text = panic_message(&*payload);
    drop_contained(payload);
    text
}

/// The result of code that may panic, or the message of its panic.
pub(crate) fn contained<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).map_err(panic_text)
}

/// Drops a value of the application, and ignores a panic of the drop.
pub(crate) fn drop_contained<T>(value: T) {
    if let Err(payload) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(value))) {
        // The payload's own drop may panic too, and so on.
        std::mem::forget(payload);
    }
}

/// A panic, as an error.
pub(crate) fn panic_error(payload: &(dyn std::any::Any + Send)) -> BoxError {
    format!("panicked: {}", panic_message(payload)).into()
}

/// Starts a thread with its own runtime, which runs one future to its end.
///
/// # Errors
/// If the system cannot create a thread or a runtime.
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

/// The system clock, shared.
pub(crate) fn system_clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}
