use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::decide::shards::{ParentGate, ParentView, Wait, asks_listing, gate};
use crate::lease::with_causes;
use crate::model::{Lease, Moment, ShardId};
use crate::runtime::pause;
use crate::stream::{ErrorKind, ShardFilter};
use crate::watermark::Watermark;

use crate::worker::event::Event;
use crate::worker::streams::ReadStream;

use super::context::Context;
use super::error::CoordinationError;

/// How often the parents are looked at when nothing in this worker says that one of them has ended.
/// The KCL: 10 s.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long after a check that found a parent's row missing, because that check costs a listing.
const LIST_EVERY: Duration = Duration::from_secs(5);

/// How long a shard that was made lately may be missing from the listing, which lags behind the
/// stream.
pub(super) const LISTING_LAG: Duration = Duration::from_secs(10);

/// What a shard that waits for its parents is told.
#[derive(Debug)]
pub(crate) enum AtGate {
    /// Every parent is finished: it may be read.
    Opens,
    /// The stream was asked about the parents and failed.
    Failed(ErrorKind, Arc<str>),
    /// After that, it has answered.
    Waits,
}

/// Waits until the shard of `row` may be read, and says so. Ends when nobody waits for it any more.
///
/// `ends` grows whenever this worker has stored the end of a shard.
pub(super) async fn keep(
    context: Arc<Context>,
    of: Arc<ReadStream>,
    row: Lease,
    ends: Watermark,
    waits: mpsc::Sender<AtGate>,
) {
    let begun = context.clock().now();
    let mut failed = false;
    // Told at growing distances: after this long, and then whenever the wait has doubled.
    let mut tell_after = context.inner.parts.settings.handler_warning;
    loop {
        // Before the rows are read: an end that is stored in between wakes the wait below at once.
        let seen = ends.now();
        let wait = tokio::select! {
            biased;
            () = waits.closed() => return,
            judged = judge(&context, &of, &row, begun) => match judged {
                Ok(ParentGate::Open) => {
                    context.inner.board.change(&row.key, |status| status.waits_for = None);
                    let _ = waits.send(AtGate::Opens).await;
                    return;
                }
                Ok(ParentGate::Blocked { by, wait }) => {
                    tracing::debug!(lease = %row.key, parent = %by, ?wait, "the shard waits for its parent");
                    context.inner.board.change(&row.key, |status| status.waits_for = Some(by.clone()));
                    let span = context.clock().now().since(begun);
                    if span >= tell_after {
                        tell_after = span * 2;
                        context.inner.outlet.say(Event::ChildWaits { child: row.key.clone(), parent: by.clone(), span });
                    }
                    if std::mem::take(&mut failed) {
                        let _ = waits.send(AtGate::Waits).await;
                    }
                    if wait == Wait::Missing { LIST_EVERY } else { LOOK_EVERY }
                }
                Err(trouble) => {
                    tracing::debug!(lease = %row.key, trouble = %with_causes(&trouble), "the parents could not be read");
                    if let Some(kind) = trouble.kind() {
                        failed = true;
                        let _ = waits.send(AtGate::Failed(kind, with_causes(&trouble).into())).await;
                    }
                    LOOK_EVERY
                }
            },
        };
        tokio::select! {
            biased;
            () = waits.closed() => return,
            () = ends.reaches(seen + 1) => {}
            () = pause(&**context.clock(), wait) => {}
        }
    }
}

/// By consistent reads of the parents; the listing is asked only when it decides, and after the
/// rows.
///
/// A listing that names nothing younger shows nothing: it may be older than both. A child that has
/// left the stream itself is let through after a while, and its consumer finds out.
///
/// While the shards are listed, which may take long, a parent's lease may be made and the parent
/// may leave the stream: a row that was missing is read once more. A lease that is made later still
/// is one of a shard that has left: nothing of it can be read.
async fn judge(
    context: &Context,
    of: &ReadStream,
    row: &Lease,
    begun: Moment,
) -> Result<ParentGate, CoordinationError> {
    let mut rows = Vec::with_capacity(row.parents.len());
    for parent in &row.parents {
        rows.push(read(context, row, parent).await?);
    }
    // What a listing shows is as old as the question, however late the answer comes.
    let is_old = context.clock().now().since(begun) >= LISTING_LAG;
    let listing = if asks_listing(row, rows.iter().map(Option::as_ref)) {
        Some(context.list(of, &ShardFilter::All).await?)
    } else {
        None
    };
    for (parent, found) in row.parents.iter().zip(&mut rows) {
        if listing.is_some() && found.is_none() {
            *found = read(context, row, parent).await?;
        }
    }
    let views: Vec<_> = row
        .parents
        .iter()
        .zip(&rows)
        .map(|(shard, row)| {
            let listed = listing.as_ref().is_some_and(|listing| {
                listing.graph.contains(shard) || !(is_old || listing.graph.has_lost(shard))
            });
            ParentView {
                shard,
                row: row.as_ref(),
                listed,
            }
        })
        .collect();
    Ok(gate(row, &views))
}

/// The row of a parent, by a consistent read: whether the child may begin depends on it.
async fn read(
    context: &Context,
    row: &Lease,
    parent: &ShardId,
) -> Result<Option<Lease>, CoordinationError> {
    let key = row.key.sibling(parent.clone());
    let _turn = context.parents_turn().await;
    Ok(context.client.read(context.client.table.get(&key)).await?)
}
