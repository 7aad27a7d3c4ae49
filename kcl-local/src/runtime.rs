//! The only file of this crate that reads a clock, sleeps or starts tasks.
#![expect(clippy::disallowed_methods, reason = "the only file that may use them")]

#[cfg(feature = "stream")]
pub(crate) use server::{ServerRuntime, Tasks, blocking, now_ms, sleep};

/// Blocks the thread that owns a connection for `span`. Nothing else runs on that thread.
///
/// It is for the one thing for which SQLite itself does not wait: the change of the journal mode.
pub(crate) fn block_owner_thread(span: std::time::Duration) {
    std::thread::sleep(span);
}

/// What the embedded stream uses of the system.
///
/// The server runs on its own runtime. The emulator that it uses starts detached tasks (it finishes
/// a created, deleted or resharded stream a moment after the call). They end with this runtime, so
/// a dropped [`LocalStream`](crate::stream::LocalStream) leaves nothing running in the program.
#[cfg(feature = "stream")]
mod server {
    use std::future::Future;
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    use tokio::runtime::{Builder, Runtime};
    use tokio::task::{JoinHandle, JoinSet};

    /// Milliseconds since the Unix epoch.
    pub(crate) fn now_ms() -> u64 {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    /// Waits for `duration`. Cancel safe.
    pub(crate) async fn sleep(duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    /// The runtime of a server. Dropping it ends every task on it at its next await, without
    /// blocking.
    #[derive(Debug)]
    pub(crate) struct ServerRuntime {
        /// None only while it is being dropped.
        runtime: Option<Runtime>,
    }

    impl ServerRuntime {
        /// Starts the threads of a server.
        ///
        /// Two are enough for the machines that this is meant for. With only one, writing a page of
        /// 10 MiB would delay requests on other connections.
        pub(crate) fn new() -> std::io::Result<Self> {
            let runtime = Builder::new_multi_thread()
                .worker_threads(2)
                .thread_name("local-stream")
                .enable_all()
                .build()?;
            Ok(Self {
                runtime: Some(runtime),
            })
        }

        /// Runs `future` on the server's threads; `None` if the runtime has been shut down.
        pub(crate) fn spawn<F>(&self, future: F) -> Option<JoinHandle<F::Output>>
        where
            F: Future + Send + 'static,
            F::Output: Send + 'static,
        {
            self.runtime.as_ref().map(|runtime| runtime.spawn(future))
        }
    }

    impl Drop for ServerRuntime {
        fn drop(&mut self) {
            // A runtime must not be dropped within another runtime, because that would block its
            // thread.
            if let Some(runtime) = self.runtime.take() {
                runtime.shutdown_background();
            }
        }
    }

    /// A set of tasks with an owner: they are aborted when it is dropped.
    #[derive(Debug, Default)]
    pub(crate) struct Tasks(JoinSet<()>);

    impl Tasks {
        /// Starts a task.
        pub(crate) fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
            self.0.spawn(task);
        }

        /// Waits until a task ends; forever if there is none. Cancel safe.
        pub(crate) async fn ended(&mut self) {
            match self.0.join_next().await {
                Some(Err(error)) if error.is_panic() => {
                    tracing::error!(%error, "a task of the embedded stream panicked");
                }
                Some(_) => {}
                None => std::future::pending().await,
            }
        }

        /// Waits until all tasks have ended. Cancel safe.
        pub(crate) async fn all_ended(&mut self) {
            while !self.0.is_empty() {
                self.ended().await;
            }
        }
    }

    /// Runs blocking code on the current thread of the server, whose other tasks move to another
    /// thread in the meantime.
    pub(crate) fn blocking<T>(work: impl FnOnce() -> T) -> T {
        tokio::task::block_in_place(work)
    }
}
