//! The stream that an application reads, and how far behind its leases are: for `lag` and `check`.
//!
//! The name comes from the leases if it can: workers of this framework store the stream's ARN in
//! each lease. So an operator at night has to know only the application and its table.

use std::collections::BTreeSet;
use std::sync::Arc;

use kcl_core::SystemClock;
use kcl_core::admin::{Asked, FleetView, LeaseLag, StreamView, measure_lag};
use kcl_core::model::{Lease, StreamName};
use kcl_core::stream::Stream;

use crate::arguments::StreamOfArguments;
use crate::failure::Failure;
use crate::say::Progress;
use crate::stream_at;
use crate::table_at::OpenTable;

/// A stream that an application reads, opened and listed.
///
/// It lives as long as the command: shards are not listed again while their lag is measured.
#[derive(Clone, Debug)]
pub(super) struct OfStream {
    /// As given on the command line or as the leases have it, for messages.
    pub(super) name: StreamName,
    /// The open stream. It is shared, because the lag of many shards is measured at the same time.
    pub(super) stream: Arc<dyn Stream>,
    /// Its description and its shards, read once at the start.
    pub(super) view: StreamView,
}

impl OfStream {
    /// Whether a lease is of this stream.
    pub(super) fn reads(&self, lease: &Lease) -> bool {
        let identity = self.view.description.identity();
        lease.key.stream.as_ref().is_none_or(|it| *it == identity)
    }
}

/// Opens the stream that was named, or else the only one that the leases name.
///
/// # Errors
/// The leases name no stream or several ([`named`]), or the stream cannot be opened or listed.
pub(super) async fn stream_of(
    table: &OpenTable,
    fleet: &FleetView,
    arguments: &StreamOfArguments,
) -> Result<OfStream, Failure> {
    let name = match &arguments.stream {
        Some(name) => name.clone(),
        None => named(table, fleet)?,
    };
    let stream = stream_at::open(&name, &arguments.at).await?;
    let view = StreamView::read(&stream)
        .await
        .map_err(|error| stream_at::failed(&name, error))?;
    Ok(OfStream {
        name,
        stream: Arc::new(stream),
        view,
    })
}

/// The stream that the leases name, by its ARN.
///
/// Leases of the Java KCL name none, and guessing would be dangerous: the lag of another stream
/// looks like an answer. Several streams are not asked one after the other either, because every
/// read takes from the five calls per second that the readers of a shard share.
fn named(table: &OpenTable, fleet: &FleetView) -> Result<StreamName, Failure> {
    let arns: BTreeSet<&str> = fleet
        .leases
        .iter()
        .filter_map(|view| view.lease.facts.stream_arn.as_deref())
        .collect();
    let mut arns = arns.into_iter();
    match (arns.next(), arns.next()) {
        (Some(arn), None) => arn.parse().map_err(|error| {
            Failure::new(
                format!("invalid stream ARN in the leases: got `{arn}`; use --stream instead"),
                error,
            )
        }),
        (None, _) => Err(Failure::of(format!(
            "no lease of `{}` names its stream, as in a table that the Java KCL wrote; use \
             --stream to name it",
            table.application
        ))),
        (Some(first), Some(second)) => Err(Failure::of(format!(
            "the leases of `{}` are of several streams, such as {first} and {second}; use \
             --stream to choose one",
            table.application
        ))),
    }
}

/// Measures how far behind the unfinished leases of this stream are, with a progress bar.
///
/// Finished leases have nothing to be behind with, and leases of other streams are left out: their
/// shard ids may exist in this stream too, and the answer would be about somebody else's records. A
/// lease whose key names no stream belongs to the only stream of its application.
///
/// At most 16 shards are asked at the same time, and each lease moves the bar by one.
pub(super) async fn measured(of: &OfStream, fleet: &FleetView) -> (Vec<LeaseLag>, Asked) {
    let leases = leases_of(of, fleet);
    let progress = Progress::new("asking the stream", leases.len());
    measure(of, &leases, |done| progress.at(done, leases.len())).await
}

/// The unfinished leases of this stream.
pub(super) fn leases_of(of: &OfStream, fleet: &FleetView) -> Vec<Lease> {
    let leases = fleet.unfinished().filter(|view| of.reads(&view.lease));
    leases.map(|view| view.lease.clone()).collect()
}

/// Asks the stream how far behind these leases are; `tell` hears how many are done.
pub(super) async fn measure(
    of: &OfStream,
    leases: &[Lease],
    tell: impl FnMut(usize),
) -> (Vec<LeaseLag>, Asked) {
    measure_lag(
        Arc::clone(&of.stream),
        of.view.description.retention,
        leases,
        Arc::new(SystemClock),
        tell,
    )
    .await
}
