use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::model::Moment;
use crate::runtime::{Clock, pause};

/// A call that many tasks need at the same time, and that is made once for all of them: only one is
/// in flight at a time.
///
/// An answer shows the state at the time of its call. It is given only to the tasks that had asked
/// before the call: a task that asks while a call is in flight gets the next answer, together with
/// all others that have asked in the meantime.
///
/// ```text
///   task A   asks ------ call 1 ------> answer 1
///   task B      asks (during call 1) .......... call 2 ------> answer 2
///   task C         asks (during call 1) ...................... answer 2
/// ```
///
/// A thousand child shards that wait for one listing cost one call and not a thousand; and none of
/// them concludes anything from a listing that is older than its question.
pub(crate) struct SingleFlight<T, E> {
    /// Held by the task that makes the call. It is fair, so the tasks get their turns in the order
    /// in which they asked.
    turn: tokio::sync::Mutex<()>,
    /// How many tasks have asked. The number before one's own is one's place. An answer whose call
    /// was made after more tasks had asked than that is new enough.
    asked: AtomicU64,
    /// How many of them are waiting. At 0 the answer is dropped, and with it the memory of a large
    /// listing.
    waiting: AtomicUsize,
    /// Never locked over an await.
    last: Mutex<LastAnswer<T, E>>,
}

/// The last answer. Failures are shared too: a thousand tasks that wait for a service that does not
/// answer should not call it a thousand times.
pub(crate) type SharedAnswer<T, E> = Result<Arc<T>, Arc<E>>;

struct LastAnswer<T, E> {
    /// When the last call was made. It stays when the answer is dropped: the calls are kept apart
    /// whoever asks.
    put: Option<Moment>,
    /// The answer, and how many tasks had asked when its call was made. Kept while a task is
    /// waiting.
    answer: Option<(u64, SharedAnswer<T, E>)>,
}

impl<T, E> SingleFlight<T, E> {
    /// The result of the call `put`, which is made at most once every `apart`. Cancel safe: if the
    /// task that makes the call is dropped, the next waiting task makes it. `put` of a task that
    /// gets the answer of another is dropped without being polled.
    pub(crate) async fn ask(
        &self,
        clock: &dyn Clock,
        apart: Duration,
        put: impl Future<Output = Result<T, E>>,
    ) -> SharedAnswer<T, E> {
        let place = self.asked.fetch_add(1, Ordering::SeqCst);
        let _waits = Waits::new(self);
        let _turn = self.turn.lock().await;
        let since = {
            let last = self.last();
            match &last.answer {
                Some((asked, answer)) if *asked > place => return answer.clone(),
                _ => last.put,
            }
        };
        if let Some(left) = since
            .and_then(|put| apart.checked_sub(clock.now().since(put)))
            .filter(|left| !left.is_zero())
        {
            pause(clock, left).await;
        }
        self.last().put = Some(clock.now());
        let asked = self.asked.load(Ordering::SeqCst);
        let answer = put.await.map(Arc::new).map_err(Arc::new);
        self.last().answer = Some((asked, answer.clone()));
        answer
    }

    fn last(&self) -> MutexGuard<'_, LastAnswer<T, E>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T, E> Default for SingleFlight<T, E> {
    fn default() -> Self {
        let last = LastAnswer {
            put: None,
            answer: None,
        };
        Self {
            turn: tokio::sync::Mutex::default(),
            asked: AtomicU64::new(0),
            waiting: AtomicUsize::new(0),
            last: Mutex::new(last),
        }
    }
}

impl<T, E> fmt::Debug for SingleFlight<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("asked", &self.asked)
            .field("waiting", &self.waiting)
            .finish_non_exhaustive()
    }
}

/// Counts a waiting task. The last one removes the answer, because no later task may get it.
struct Waits<'a, T, E>(&'a SingleFlight<T, E>);

impl<'a, T, E> Waits<'a, T, E> {
    fn new(shared: &'a SingleFlight<T, E>) -> Self {
        shared.waiting.fetch_add(1, Ordering::SeqCst);
        Self(shared)
    }
}

impl<T, E> Drop for Waits<'_, T, E> {
    fn drop(&mut self) {
        if self.0.waiting.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.last().answer = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use futures_util::future::join_all;
    use tokio::sync::Notify;

    use super::*;
    use crate::runtime::system_clock;

    /// Counts how often it is put, and answers when it is let.
    #[derive(Default)]
    struct CountedCall {
        shared: SingleFlight<u64, u64>,
        put: AtomicU64,
        go: Notify,
    }

    impl CountedCall {
        async fn ask(&self) -> SharedAnswer<u64, u64> {
            self.shared
                .ask(&*system_clock(), Duration::ZERO, self.answer())
                .await
        }

        async fn answer(&self) -> Result<u64, u64> {
            let count = self.put.fetch_add(1, Ordering::SeqCst) + 1;
            self.go.notified().await;
            if count.is_multiple_of(2) {
                Err(count)
            } else {
                Ok(count)
            }
        }
    }

    #[tokio::test]
    async fn who_asks_meanwhile_shares_the_next_answer() {
        let asked = CountedCall::default();
        let mut first = Box::pin(asked.ask());
        assert!((&mut first).now_or_never().is_none());
        let mut later = Box::pin(join_all((0..1000).map(|_| asked.ask())));
        assert!((&mut later).now_or_never().is_none());
        asked.go.notify_one();
        assert_eq!(first.await, Ok(Arc::new(1)));
        assert!((&mut later).now_or_never().is_none());
        asked.go.notify_one();
        assert!(
            later.await.iter().all(|answer| *answer == Err(Arc::new(2))),
            "also a failure is shared"
        );
        assert_eq!(asked.put.load(Ordering::SeqCst), 2);
        assert!(
            asked.shared.last().answer.is_none(),
            "nobody waits: nothing is kept"
        );
    }

    #[tokio::test]
    async fn when_who_put_it_goes_the_next_one_puts_it() {
        let asked = CountedCall::default();
        let mut first = Box::pin(asked.ask());
        assert!((&mut first).now_or_never().is_none());
        let mut second = Box::pin(asked.ask());
        assert!((&mut second).now_or_never().is_none());
        drop(first);
        assert!((&mut second).now_or_never().is_none());
        asked.go.notify_one();
        assert_eq!(second.await, Err(Arc::new(2)));
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_put_no_more_often_than_it_may_be() {
        let clock = system_clock();
        let shared = SingleFlight::<Moment, ()>::default();
        let apart = Duration::from_millis(50);
        // From the start: a call may begin later than it is let through.
        let start = clock.now();
        for before in 0..3 {
            let put = shared
                .ask(&*clock, apart, async { Ok(clock.now()) })
                .await
                .unwrap();
            assert!(put.since(start) >= apart * before, "{before} before it");
        }
    }
}
