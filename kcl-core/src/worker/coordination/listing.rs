//! What is asked of a stream: its shards, its time, whether it answers at all.

use std::sync::Arc;
use std::time::Duration;

use crate::decide::backoff::Backoff;
use crate::decide::shards::ShardGraph;
use crate::model::Timestamp;
use crate::runtime::{jitter, pause, within};
use crate::stream::{self, ErrorKind, ShardFilter};
use crate::worker::streams::ReadStream;

use super::context::{BETWEEN_TRIES, Context, TRIES};
use super::error::CoordinationError;

/// A listing of shards and the service's time when its first page was answered.
pub(crate) struct Listing {
    /// The shards by id, with their parents and children.
    pub(crate) graph: ShardGraph,
    /// By the service's clock, when the first page was answered.
    pub(crate) service_time: Timestamp,
}

/// From one try to get through to a stream to the next: 1 s, doubled up to 10 s, and down to half
/// of that.
const REACH: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(10));
/// How long after a question that many ask at a time was put it is put again at the earliest. The
/// service answers 100 `ListShards` a second and stream, for all who read it.
pub(super) const APART: Duration = Duration::from_millis(200);

impl Context {
    /// The listing of somebody who has no use for it when the worker stops: a stop does not wait
    /// for it.
    pub(super) async fn list_while_working(
        &self,
        of: &ReadStream,
        filter: &ShardFilter,
    ) -> Result<Arc<Listing>, CoordinationError> {
        tokio::select! {
            biased;
            () = self.drain() => {
                Err(stream::Error::new(ErrorKind::Transient, "ListShards", "the worker stops").into())
            }
            listing = self.list(of, filter) => listing,
        }
    }

    /// All shards that the filter lets through, by a listing that was asked for after this
    /// question. One listing of all shards is under way at a time, shared by all who have asked
    /// before it began: it may take long, and each lease may have reason to ask.
    pub(super) async fn list(
        &self,
        of: &ReadStream,
        filter: &ShardFilter,
    ) -> Result<Arc<Listing>, CoordinationError> {
        if *filter != ShardFilter::All {
            return self.list_anew(of, filter).await.map(Arc::new);
        }
        let listing = of
            .listing
            .ask(&**self.clock(), APART, self.list_anew(of, filter))
            .await;
        listing.map_err(|trouble| CoordinationError::again(&trouble))
    }

    /// The service's time, by the first page of a listing of the open shards.
    pub(super) async fn service_time(
        &self,
        of: &ReadStream,
    ) -> Result<Timestamp, CoordinationError> {
        let time = of.time.ask(&**self.clock(), APART, async {
            let source = of.reader(&self.inner).await?;
            let page = self
                .stream_call(
                    "ListShards",
                    source.list_shards(&ShardFilter::AtLatest, None),
                )
                .await?;
            Ok(page.service_time)
        });
        time.await
            .map(|time| *time)
            .map_err(|trouble| CoordinationError::again(&trouble))
    }

    /// A listing that was taken while a reshard happened is taken again, and one that failed,
    /// unless that has taken as long as a call may: who waits for it has to hear that the stream is
    /// out of reach, to leave its shard to others.
    async fn list_anew(
        &self,
        of: &ReadStream,
        filter: &ShardFilter,
    ) -> Result<Listing, CoordinationError> {
        let asked = self.clock().now();
        let mut tries = 0;
        loop {
            tries += 1;
            let trouble = match self.list_once(of, filter).await {
                Ok(listing) => {
                    // Subscriptions to shards that are listed closed are told so: an idle one never
                    // says that its shard has ended.
                    if of.consumer.is_some() && *filter == ShardFilter::All {
                        let closed = listing.graph.shards().filter(|shard| shard.closed);
                        of.listed.see(closed.map(|shard| shard.id.clone()), asked);
                    }
                    return Ok(listing);
                }
                Err(trouble) => trouble,
            };
            let again = match &trouble {
                CoordinationError::Stream(error) => {
                    matches!(
                        error.kind,
                        ErrorKind::Transient
                            | ErrorKind::Unreachable
                            | ErrorKind::Throttled
                            | ErrorKind::Expired
                    )
                }
                CoordinationError::Listing(_) => true,
                CoordinationError::Table(_) | CoordinationError::Fatal(_) => false,
            };
            let is_late = self.clock().now().since(asked) >= self.inner.parts.settings.call_limit;
            if !again || tries == TRIES || is_late {
                return Err(trouble);
            }
            pause(&**self.clock(), BETWEEN_TRIES * tries).await;
        }
    }

    /// All pages, once. A token of a page is good for five minutes, so a listing that is
    /// interrupted begins anew.
    async fn list_once(
        &self,
        of: &ReadStream,
        filter: &ShardFilter,
    ) -> Result<Listing, CoordinationError> {
        let source = of.reader(&self.inner).await?;
        let mut shards = Vec::new();
        let (mut service_time, mut page) = (None, None);
        loop {
            let mut answer = self
                .stream_call("ListShards", source.list_shards(filter, page.as_ref()))
                .await?;
            // The first page's time: what arrived while the rest was listed is not "before".
            let service_time = *service_time.get_or_insert(answer.service_time);
            shards.append(&mut answer.shards);
            page = answer.next;
            if page.is_none() {
                return Ok(Listing {
                    graph: ShardGraph::new(shards)?,
                    service_time,
                });
            }
        }
    }

    /// Asks the stream for the first of its shards, again and again, until it answers, whatever it
    /// says. Ends when the worker stops.
    pub(super) async fn until_within_reach(&self, of: &ReadStream) {
        for tries in 0.. {
            let call = async {
                let source = of.reader(&self.inner).await?;
                self.stream_call(
                    "ListShards",
                    source.list_shards(&ShardFilter::AtLatest, None),
                )
                .await
            };
            tokio::select! {
                biased;
                () = self.drain() => return,
                answer = call => match answer {
                    Err(error) if error.kind == ErrorKind::Unreachable => {}
                    _ => return,
                },
            }
            tokio::select! {
                biased;
                () = self.drain() => return,
                () = pause(&**self.clock(), REACH.longest(tries).mul_f64(0.5 + jitter() / 2.0)) => {}
            }
        }
    }

    /// A call of the stream, bounded.
    pub(super) async fn stream_call<T>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T, stream::Error>>,
    ) -> Result<T, stream::Error> {
        let limit = self.inner.parts.settings.call_limit;
        within(&**self.clock(), limit, call)
            .await
            .unwrap_or_else(|| {
                Err(stream::Error::new(
                    ErrorKind::Unreachable,
                    operation,
                    format!("no answer within {limit:?}"),
                ))
            })
    }
}
