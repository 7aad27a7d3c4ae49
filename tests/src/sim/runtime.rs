//! Time and tasks of the simulator: the only file of it that takes them from tokio or from the
//! machine.
//!
//! A world runs on one thread, on tokio's paused clock: time stands still while anything can run,
//! and jumps to the next timer when nothing can. A simulated second of idle workers costs
//! microseconds.
#![expect(
    clippy::disallowed_methods,
    reason = "the one file of the simulator that may"
)]

use std::fmt;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

/// A point of simulated time: milliseconds since the beginning of the world, the resolution of
/// tokio's timer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct At(pub u64);

impl At {
    /// So many milliseconds later.
    #[must_use]
    pub const fn plus(self, millis: u64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// The milliseconds since `earlier`; 0 if that is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}", self.0 / 1000, self.0 % 1000)
    }
}

impl fmt::Debug for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The beginning of a world.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin(Instant);

impl Origin {
    /// Now. Must be called on the runtime of the world.
    pub(crate) fn here() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn now(self) -> At {
        At(u64::try_from(self.0.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    pub(crate) async fn sleep_until(self, at: At) {
        tokio::time::sleep_until(self.0 + Duration::from_millis(at.0)).await;
    }
}

/// Runs a world to its end on this thread. `seed` is for everything in the product that draws from
/// the thread's generator.
pub(crate) fn run_paused<T>(seed: u64, work: impl Future<Output = T>) -> std::io::Result<T> {
    fastrand::seed(seed);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()?;
    Ok(runtime.block_on(work))
}

/// Waits this long.
pub(crate) async fn sleep(millis: u64) {
    if millis > 0 {
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }
}

/// Starts a part of the world: it ends with the runtime of the world.
pub(crate) fn spawn(task: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(task);
}

/// Starts a part of the world and gives its result. Dropping what is returned does not end the
/// part.
pub(crate) fn start<T: Send + 'static>(
    task: impl Future<Output = T> + Send + 'static,
) -> oneshot::Receiver<T> {
    let (give, result) = oneshot::channel();
    tokio::spawn(async move {
        // Nobody waiting for it is no error: the worker that asked may have crashed.
        let _ = give.send(task.await);
    });
    result
}

/// Wall time, for seeds per second.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(std::time::Instant);

impl Stopwatch {
    /// Begins to measure.
    #[must_use]
    pub fn start() -> Self {
        Self(std::time::Instant::now())
    }

    /// The seconds since the beginning.
    #[must_use]
    pub fn seconds(self) -> f64 {
        self.0.elapsed().as_secs_f64()
    }
}
