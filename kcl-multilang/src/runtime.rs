//! Time, tasks and threads: the only file of this crate that gets them from the system.
#![expect(clippy::disallowed_methods, reason = "the only file that may use them")]

use std::io;
use std::sync::mpsc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

/// The result of the future, or `None` if `limit` passes first.
pub(crate) async fn within<F: Future>(limit: Duration, future: F) -> Option<F::Output> {
    tokio::time::timeout(limit, future).await.ok()
}

/// Tasks with an owner: they are aborted when it is dropped.
#[derive(Debug, Default)]
pub(crate) struct Tasks(JoinSet<()>);

impl Tasks {
    /// Starts a task that ends with the owner at the latest.
    pub(crate) fn start(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        // Those that have ended are forgotten.
        while self.0.try_join_next().is_some() {}
        self.0.spawn(task);
    }

    /// Waits until all have ended. Cancel safe.
    pub(crate) async fn ended(&mut self) {
        while self.0.join_next().await.is_some() {}
    }
}

/// What the thread does, one after the other.
type Job = Box<dyn FnOnce() + Send>;

/// A thread that lives as long as the daemon, and starts its children.
///
/// Linux sends the signal at a parent's death when the *thread* ends that started the child, so no
/// thread of a pool may do it: a pool ends its threads when they are idle.
#[derive(Debug)]
pub(crate) struct StartingThread(mpsc::Sender<Job>);

impl StartingThread {
    /// Starts the thread. It ends when the handle is dropped and the last job is done.
    ///
    /// # Errors
    /// If the system cannot start one.
    pub(crate) fn new() -> io::Result<Self> {
        let (jobs, inbox) = mpsc::channel::<Job>();
        std::thread::Builder::new()
            .name("multilang-children".to_owned())
            .spawn(move || {
                for job in inbox {
                    job();
                }
            })?;
        Ok(Self(jobs))
    }

    /// Does this on the thread, within the current runtime.
    ///
    /// A job whose caller is gone is done all the same, and its result is dropped: that of `spawn`
    /// then kills the process, if the command says so.
    pub(crate) async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let runtime = Handle::current();
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move || {
            // Pipes of a child are registered with the runtime when the child is started.
            let _entered = runtime.enter();
            // Whoever asked may be gone.
            let _ = answer.send(work());
        });
        let gone = || io::Error::other("the thread that starts children has ended");
        self.0.send(job).map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }
}
