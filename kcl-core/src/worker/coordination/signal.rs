//! The change signal of the table, both ways: what this worker tells the others, and what it hears.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::lease::Changed;
use crate::runtime::{jitter, pause};

use super::context::{BETWEEN_TRIES, Context, TRIES};

/// The shortest time between two announcements: what happens meanwhile goes out in one.
const COALESCE: Duration = Duration::from_millis(200);

/// Tells the others of something, soon. Never waits.
#[derive(Clone, Debug)]
pub(super) struct Announcer(mpsc::UnboundedSender<Changed>);

impl Announcer {
    /// An announcer, and what carries its words out: it ends when every announcer is gone and
    /// everything is said.
    pub(super) fn new(context: Arc<Context>) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (say, said) = mpsc::unbounded_channel();
        let _ = context.announcer.set(say.downgrade());
        (Self(say), announce_all(context, said))
    }

    /// One that nobody hears.
    pub(super) fn silent() -> Self {
        Self(mpsc::unbounded_channel().0)
    }

    /// Tells of a change, with the next announcement. Repeated changes of the same row go out as
    /// one.
    pub(super) fn say(&self, changed: Changed) {
        let _ = self.0.send(changed);
    }
}

/// Sends what was said, together, until every announcer is gone. A try that fails is repeated with
/// what was said meanwhile.
async fn announce_all(context: Arc<Context>, mut said: mpsc::UnboundedReceiver<Changed>) {
    let clock = Arc::clone(context.clock());
    while let Some(first) = said.recv().await {
        let mut changed = BTreeSet::from([first]);
        for tries in 1..=TRIES {
            while let Ok(more) = said.try_recv() {
                changed.insert(more);
            }
            let all: Vec<_> = changed.iter().cloned().collect();
            match context
                .client
                .write(context.client.table.announce(&all))
                .await
            {
                Ok(()) => break,
                // Looks find it later all the same.
                Err(error) if !error.is_transient() => break,
                Err(_) => pause(&*clock, BETWEEN_TRIES * tries).await,
            }
        }
        // Not after the last words: a worker that ends must not wait for nothing.
        if !said.is_closed() || !said.is_empty() {
            pause(&*clock, COALESCE).await;
        }
    }
}

/// What is heard of the others.
#[derive(Debug)]
pub(super) enum ChangeNotice {
    /// These have changed.
    These(Vec<Changed>),
    /// Something has.
    Something,
    /// The signal is heard from now on, or it is not: then others may do anything without a word.
    Hears(bool),
}

/// How often a table without a signal is to be scanned, if scans do not come more seldom: a fifth
/// of the KCL's failover time.
const WITHOUT_SIGNAL: Duration = Duration::from_secs(2);

/// After how long without an answer the signal counts as not heard: a few readings of it. With a short
/// failover time a third of that, so that this worker scans before others may call it dead.
const DEAF_AFTER: Duration = Duration::from_secs(2);

/// Reads the signal over and over. `seen` is its value before the first scan of the table.
pub(super) async fn listen(
    context: Arc<Context>,
    mut seen: Option<String>,
    heard: mpsc::UnboundedSender<ChangeNotice>,
) {
    let clock = Arc::clone(context.clock());
    // In place of scans it is of use only if it is not slower than they are, and it costs less.
    let every = context.client.table.change_signal_interval();
    let every = every.min(context.timing.look);
    let deaf_after = DEAF_AFTER.min(context.timing.failover / 3);
    let mut asked = clock.now();
    let (mut answered, mut hears) = (clock.now(), false);
    loop {
        // Not all at the same moment.
        pause(&*clock, every.mul_f64(0.8 + 0.4 * jitter())).await;
        let signal = context.client.read(context.client.table.change_signal());
        let signal = signal.await;
        let is_heard = match &signal {
            Ok(signal) => {
                answered = clock.now();
                signal.is_some()
            }
            Err(_) => hears && clock.now().since(answered) < deaf_after,
        };
        if is_heard != std::mem::replace(&mut hears, is_heard)
            && heard.send(ChangeNotice::Hears(hears)).is_err()
        {
            return;
        }
        let news = match signal {
            // The signal holds the last announcements. If ours is not among them any more, more has
            // happened than it can name.
            Ok(Some(signal)) if seen.as_ref() != Some(&signal.value) => {
                let changed = seen.as_ref().and_then(|seen| signal.since(seen));
                let news = changed.map_or(ChangeNotice::Something, |changed| {
                    ChangeNotice::These(changed.into_iter().cloned().collect())
                });
                seen = Some(signal.value);
                news
            }
            // Whatever others do is found by looking.
            Ok(None) if clock.now().since(asked) >= WITHOUT_SIGNAL => {
                (asked, seen) = (clock.now(), None);
                ChangeNotice::Something
            }
            _ => continue,
        };
        if heard.send(news).is_err() {
            return;
        }
    }
}
