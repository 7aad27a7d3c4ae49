//! The stream that an application reads, and how far behind its leases are.

use std::collections::BTreeSet;
use std::sync::Arc;

use kcl_core::SystemClock;
use kcl_core::admin::{Asked, FleetView, LeaseLag, LeaseState, StreamView, measure_lag};
use kcl_core::model::{Lease, StreamName};
use kcl_core::stream::Stream;

use crate::arguments::StreamOfArguments;
use crate::failure::Failure;
use crate::say::Progress;
use crate::stream_at;
use crate::table_at::OpenTable;

/// A stream that an application reads.
#[derive(Debug)]
pub(super) struct OfStream {
    pub(super) name: StreamName,
    pub(super) stream: Arc<dyn Stream>,
    pub(super) view: StreamView,
}

/// The stream that was named, or the only one that the leases name.
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
                "the leases name a stream that is none; --stream says which it is",
                error,
            )
        }),
        (None, _) => Err(Failure::of(format!(
            "no lease of `{}` names its stream, as in a table of the Java KCL: --stream says \
             which it is",
            table.application
        ))),
        (Some(first), Some(second)) => Err(Failure::of(format!(
            "the leases of `{}` are of several streams, such as {first} and {second}: --stream \
             says which one is asked",
            table.application
        ))),
    }
}

/// How far behind the unfinished leases of this stream are.
pub(super) async fn measured(of: &OfStream, fleet: &FleetView) -> (Vec<LeaseLag>, Asked) {
    let identity = of.view.description.identity();
    let is_of_it = |lease: &Lease| lease.key.stream.as_ref().is_none_or(|it| *it == identity);
    let leases: Vec<Lease> = fleet
        .leases
        .iter()
        .filter(|view| view.state != LeaseState::Ended && is_of_it(&view.lease))
        .map(|view| view.lease.clone())
        .collect();
    let progress = Progress::new("asking the stream", leases.len());
    measure_lag(
        Arc::clone(&of.stream),
        of.view.description.retention,
        &leases,
        Arc::new(SystemClock),
        |done| progress.at(done, leases.len()),
    )
    .await
}
