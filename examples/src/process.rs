//! What the operating system knows about this process.

use std::time::Duration;

use kcl_core::model::Moment;
use kcl_core::{Clock, SystemClock};
use rustix::time::{ClockId, clock_gettime};

/// When this process began.
#[derive(Clone, Copy, Debug)]
pub struct ProcessStart(Moment);

impl ProcessStart {
    /// The start of the process according to the operating system (on Linux, to 10 ms, so that
    /// loading the program counts). Elsewhere, and under `cargo run`, whose own process turns into
    /// this one after the build, it is the moment of this call.
    #[must_use]
    pub fn get() -> Self {
        let now = SystemClock.now();
        let own = std::env::var_os("CARGO").is_none();
        let stat = own
            .then(|| std::fs::read_to_string("/proc/self/stat").ok())
            .flatten();
        let start = stat.and_then(|stat| start_of(&stat, rustix::param::clock_ticks_per_second()));
        Self(start.map_or(now, |since_boot| Moment::from_origin(since_boot).min(now)))
    }

    /// The time since then.
    #[must_use]
    pub fn elapsed(self) -> Duration {
        self.until(SystemClock.now())
    }

    /// The time from then to a moment of the [`SystemClock`].
    #[must_use]
    pub const fn until(self, moment: Moment) -> Duration {
        moment.since(self.0)
    }
}

/// When a process began, since the machine was started, on the clock that [`SystemClock`] reads:
/// `starttime`, the 22nd field of `/proc/PID/stat`, whose text is `stat`. `None` if it is not there.
#[must_use]
pub fn start_of(stat: &str, ticks_per_second: u64) -> Option<Duration> {
    // The second field is the program's name in parentheses, which may itself contain spaces and
    // parentheses.
    let (_, after_name) = stat.rsplit_once(')')?;
    let ticks: u64 = after_name.split_ascii_whitespace().nth(19)?.parse().ok()?;
    Some(Duration::from_nanos(
        ticks
            .checked_mul(1_000_000_000)?
            .checked_div(ticks_per_second)?,
    ))
}

/// The CPU time of all threads of this process, user and system.
#[must_use]
pub fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or(0),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

/// The peak resident memory of this process, in KiB. Linux only.
#[must_use]
pub fn peak_rss_kib() -> Option<u64> {
    peak_of(&std::fs::read_to_string("/proc/self/status").ok()?)
}

/// The same, out of the text of `/proc/PID/status`. `None` if it does not say it.
#[must_use]
pub fn peak_of(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}
