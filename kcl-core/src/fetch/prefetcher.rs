//! Reads ahead of the processor.
//!
//! The reader runs as a task of its own and hands its pages on through a channel of 8. While a
//! batch is being processed, the next ones are fetched, as far as the byte budget gives permits.

use tokio::sync::mpsc;
use tracing::Instrument;

use crate::decide::gap::DataGap;
use crate::model::{ChildShard, Moment, Timestamp};
use crate::processor::Records;
use crate::runtime::Tasks;

use super::budget::Permit;
use super::fetched::{End, Fetch, FetchError, OpenAgain, ReadEnd};

/// Records on their way to the processor, with the memory that they are counted by.
#[derive(Debug)]
pub(crate) struct Batch {
    /// User records, in order; never empty.
    pub(crate) records: Records,
    /// How far behind the tip the shard was when they were read, in milliseconds.
    pub(crate) millis_behind_latest: Option<u64>,
    /// When they were read.
    pub(crate) fetched: Moment,
    /// The same as wall-clock time.
    pub(crate) fetched_at: Timestamp,
    /// Whether the shard ends with them, as far as the answer says.
    pub(crate) is_last: bool,
    /// The shards that follow, on the last batch.
    pub(crate) children: Vec<ChildShard>,
    /// Held, never read: given back to the budget when the batch is done and dropped.
    #[expect(dead_code, reason = "held for its drop")]
    pub(crate) permit: Option<Permit>,
}

impl Batch {
    /// How much data its records hold.
    pub(crate) fn bytes(&self) -> u64 {
        self.records
            .iter()
            .map(|record| record.data.len() as u64)
            .sum()
    }
}

/// What comes out of a [`Prefetcher`], in order.
///
/// One page may become several of them, in this order: a gap, the records, that the tip is reached,
/// the end. The consumer carries out one after the other.
#[derive(Debug)]
pub(crate) enum FetchItem {
    /// A stretch was, or may have been, lost to retention.
    Gap(DataGap),
    /// Everything that the shard had has been given.
    AtTip,
    /// Records.
    Batch(Box<Batch>),
    /// An answer says that everything has been handed out. Nothing follows before
    /// [`Prefetcher::open_again`].
    End(ReadEnd),
    /// Everything up to the bound of the reading has been handed out.
    Bound,
    /// The service says that the shard is not there.
    Gone,
    /// The shard cannot be read.
    Failed(FetchError),
}

/// Reads ahead of the processor: a task that fetches while a batch is being worked on, as far as
/// the byte budget goes.
///
/// Dropping it ends the task.
#[derive(Debug)]
pub(crate) struct Prefetcher {
    /// What was read and not processed yet, at most [`PAGES_AHEAD`] items and the parts of one
    /// page.
    fed: mpsc::Receiver<FetchItem>,
    /// Tells the task to go on after an end that was none.
    again: mpsc::UnboundedSender<OpenAgain>,
    /// The task. It ends when this is dropped, and with it the call that is under way.
    _pump: Tasks,
}

/// How many pages of a shard may wait. Memory is bounded by the budget; this bounds how far a fast
/// stream of small pages runs ahead.
///
/// It is well above what one handler call needs, and low enough that a lease that is lost drops
/// little.
const PAGES_AHEAD: usize = 8;

impl Prefetcher {
    /// Begins to read.
    pub(crate) fn start(fetch: Box<dyn Fetch>) -> Self {
        let (give, fed) = mpsc::channel(PAGES_AHEAD);
        let (again, ended) = mpsc::unbounded_channel();
        let mut pump = Tasks::new();
        pump.start(pump_all(fetch, give, ended).in_current_span());
        Self {
            fed,
            again,
            _pump: pump,
        }
    }

    /// The end that came is none, or not a certain one: the shard is opened again where it was, as
    /// told.
    pub(crate) fn open_again(&self, how: OpenAgain) {
        // A pump that has ended says so itself.
        let _ = self.again.send(how);
    }

    /// What comes next. Cancel safe. Nothing after the last.
    pub(crate) async fn next(&mut self) -> Option<FetchItem> {
        self.fed.recv().await
    }
}

/// The task: reserves a place in the channel, fetches, and hands on the parts of the answer in
/// their order: the gap before the records, the records, that the tip is reached, and the end.
async fn pump_all(
    mut fetch: Box<dyn Fetch>,
    give: mpsc::Sender<FetchItem>,
    mut again: mpsc::UnboundedReceiver<OpenAgain>,
) {
    loop {
        // A place first: a page that is fetched is handed on at once, and its place to resume from
        // with it.
        let Ok(place) = give.reserve().await else {
            return;
        };
        let fetched = match fetch.next().await {
            Ok(fetched) => fetched,
            Err(error) => {
                place.send(FetchItem::Failed(error));
                return;
            }
        };
        let mut place = Some(place);
        let mut parts = Vec::with_capacity(4);
        parts.extend(fetched.gap.map(FetchItem::Gap));
        let is_bound = matches!(fetched.end, Some(End::Bound));
        let (end, gone) = match fetched.end {
            None | Some(End::Bound) => (None, false),
            Some(End::Closed(end)) => (Some(end), false),
            Some(End::Gone) => (None, true),
        };
        let is_last = end.is_some();
        if !fetched.records.is_empty() {
            parts.push(FetchItem::Batch(Box::new(Batch {
                records: Records::new(fetched.records),
                millis_behind_latest: fetched.millis_behind_latest,
                fetched: fetched.fetched,
                fetched_at: fetched.fetched_at,
                is_last,
                children: end.iter().flat_map(|end| end.children.clone()).collect(),
                permit: fetched.permit,
            })));
        }
        if fetched.at_tip {
            parts.push(FetchItem::AtTip);
        }
        parts.extend(end.map(FetchItem::End));
        if gone {
            parts.push(FetchItem::Gone);
        } else if is_bound {
            parts.push(FetchItem::Bound);
        }
        for part in parts {
            match place.take() {
                Some(place) => place.send(part),
                None => {
                    if give.send(part).await.is_err() {
                        return;
                    }
                }
            }
        }
        if is_bound {
            return;
        }
        if is_last {
            let Some(how) = again.recv().await else {
                return;
            };
            fetch.open_again(how).await;
        }
    }
}
