//! The signals that end a program, as a future with which to stop a worker.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A signal that asks a program to end.
///
/// ```
/// use kcl_core::signal::Signal;
///
/// assert_eq!(Signal::Terminate.to_string(), "SIGTERM");
/// assert_eq!(Signal::Interrupt.exit_code(), 130);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Signal {
    /// Ctrl-C, that is, SIGINT.
    Interrupt,
    /// SIGTERM, which `kill`, service managers and container runtimes send.
    Terminate,
}

impl Signal {
    /// The exit code that tells a shell that the signal ended the program: 130 or 143.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Interrupt => 130,
            Self::Terminate => 143,
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Interrupt => "SIGINT",
            Self::Terminate => "SIGTERM",
        })
    }
}

/// Catches Ctrl-C (SIGINT) and SIGTERM from this call on. The future completes with the first of
/// them, for [`Worker::run_until`](crate::Worker::run_until).
///
/// **A Ctrl-C after the first signal is not caught**: it ends the process immediately, even if a
/// handler blocks every thread. The leases then have to expire. A SIGTERM after the first signal is
/// ignored, because supervisors send it more than once (`timeout` does). Once every future of this
/// function has been dropped, neither is caught any more. (On Windows, Ctrl-C stays caught for the
/// rest of the process.)
///
/// # Errors
/// If the operating system refuses to install the signal handlers.
///
/// # Panics
/// If it is called outside a tokio runtime with I/O enabled.
pub fn stop_signal() -> io::Result<StopSignal> {
    Ok(StopSignal {
        caught: system::Signals::new()?,
    })
}

/// The future of [`stop_signal`]. Cancel safe. It can be polled again after it has completed, and
/// then completes with the next signal.
#[derive(Debug)]
pub struct StopSignal {
    caught: system::Signals,
}

impl Future for StopSignal {
    type Output = Signal;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Signal> {
        self.caught.poll(cx)
    }
}

#[cfg(unix)]
mod system {
    use std::io;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, Mutex, OnceLock, PoisonError};
    use std::task::{Context, Poll};

    use signal_hook::consts::{SIGINT, SIGTERM};
    use signal_hook::flag;
    use tokio::signal::unix::{self, SignalKind};

    use super::Signal;

    pub(super) use UnixSignals as Signals;

    /// What a future listens to.
    #[derive(Debug)]
    pub(super) struct UnixSignals {
        /// Tokio's stream of SIGINT. Every future has streams of its own, so each of several
        /// workers in a program hears the signal.
        interrupt: unix::Signal,
        /// Tokio's stream of SIGTERM.
        terminate: unix::Signal,
        /// Held for its drop: when the last future is gone, signals end the process again.
        _second: Second,
    }

    impl UnixSignals {
        pub(super) fn new() -> io::Result<Self> {
            // Before tokio's handlers: from the moment when they catch a signal, a second one must
            // work.
            let second = Second::new()?;
            let (interrupt, terminate) = (
                unix::signal(SignalKind::interrupt())?,
                unix::signal(SignalKind::terminate())?,
            );
            Ok(Self {
                interrupt,
                terminate,
                _second: second,
            })
        }

        pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Signal> {
            // The signal streams end only with the runtime.
            if let Poll::Ready(Some(())) = self.terminate.poll_recv(cx) {
                return Poll::Ready(Signal::Terminate);
            }
            if let Poll::Ready(Some(())) = self.interrupt.poll_recv(cx) {
                return Poll::Ready(Signal::Interrupt);
            }
            Poll::Pending
        }
    }

    /// Decides what a second signal does. Tokio catches a signal for the rest of the process, even
    /// if nothing listens any more. The handler that is installed here restores the default action,
    /// from within the signal handler itself.
    #[derive(Debug)]
    struct Second;

    /// Whether the next signal has its default action.
    struct ByDefault {
        /// Set by the first signal of either kind, and when no future is left.
        interrupt: Arc<AtomicBool>,
        /// Set when no future is left.
        terminate: Arc<AtomicBool>,
    }

    /// Registered once for the process: a handler of signal-hook cannot be taken back without a
    /// race.
    static BY_DEFAULT: OnceLock<ByDefault> = OnceLock::new();
    /// How many futures there are. A mutex and not an atomic, because the count and the flags
    /// change together.
    static LISTENERS: Mutex<usize> = Mutex::new(0);

    impl ByDefault {
        /// Installs the handlers, all of which only read and set flags: nothing else is allowed
        /// within a signal handler.
        fn register() -> io::Result<Self> {
            let (interrupt, terminate) =
                (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
            flag::register_conditional_default(SIGTERM, Arc::clone(&terminate))?;
            flag::register_conditional_default(SIGINT, Arc::clone(&interrupt))?;
            for signal in [SIGINT, SIGTERM] {
                // Registered last: the first signal finds the flag unset, and sets it.
                flag::register(signal, Arc::clone(&interrupt))?;
            }
            Ok(Self {
                interrupt,
                terminate,
            })
        }

        /// Both at once, for the first future that listens and the last one that goes.
        fn set(&self, by_default: bool) {
            self.interrupt.store(by_default, Ordering::SeqCst);
            self.terminate.store(by_default, Ordering::SeqCst);
        }
    }

    impl Second {
        fn new() -> io::Result<Self> {
            let mut listeners = LISTENERS.lock().unwrap_or_else(PoisonError::into_inner);
            let by_default = match BY_DEFAULT.get() {
                Some(by_default) => by_default,
                None => {
                    let by_default = ByDefault::register()?;
                    BY_DEFAULT.get_or_init(|| by_default)
                }
            };
            // Not for further futures: after a first Ctrl-C a second one has to end the process,
            // whoever listens by then.
            if *listeners == 0 {
                by_default.set(false);
            }
            *listeners += 1;
            Ok(Self)
        }
    }

    impl Drop for Second {
        fn drop(&mut self) {
            let mut listeners = LISTENERS.lock().unwrap_or_else(PoisonError::into_inner);
            *listeners = listeners.saturating_sub(1);
            if let Some(by_default) = BY_DEFAULT.get().filter(|_| *listeners == 0) {
                by_default.set(true);
            }
        }
    }
}

#[cfg(windows)]
mod system {
    use std::io;
    use std::task::{Context, Poll};

    use tokio::signal::windows::{CtrlC, ctrl_c};

    use super::Signal;

    pub(super) use WindowsSignals as Signals;

    /// Windows has no SIGTERM; a service is stopped by its service manager in a way of its own.
    #[derive(Debug)]
    pub(super) struct WindowsSignals(CtrlC);

    impl WindowsSignals {
        pub(super) fn new() -> io::Result<Self> {
            ctrl_c().map(Self)
        }

        pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Signal> {
            match self.0.poll_recv(cx) {
                Poll::Ready(Some(())) => Poll::Ready(Signal::Interrupt),
                _ => Poll::Pending,
            }
        }
    }
}
