//! How far behind the leases are by what their holders say, and by the stream where nobody does: for
//! `lag` and `serve`.

use std::time::Duration;

use kcl_core::admin::{Asked, FleetView, LeaseLag, LeaseView};
use kcl_core::model::Lease;

use super::of_stream::{OfStream, measure, stream_of};
use crate::arguments::StreamOfArguments;
use crate::failure::Failure;
use crate::say::Progress;
use crate::table_at::OpenTable;

/// A bound above this is too vague for what has to know each lease, such as the number of workers
/// that are wanted: the holder would have named a lease that is this far behind if it had not named
/// others.
const VAGUE: Duration = Duration::from_secs(10);

/// How far behind the unfinished leases of an application are.
#[derive(Clone, Debug)]
pub(super) struct Lags {
    /// The stream, if it was asked.
    pub(super) of: Option<OfStream>,
    /// One of each lease.
    pub(super) lags: Vec<LeaseLag>,
    /// What the stream was asked.
    pub(super) asked: Asked,
}

/// The leases of which the stream has to be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AskOf {
    /// Those of which no live holder says how far behind they are.
    Unsaid,
    /// Also those of which holders say it too vaguely.
    Vague,
    /// All of them.
    All,
}

/// What holders say of the unfinished leases, and those that are left.
///
/// `of` is the stream, if it is known: leases of other streams are left out then, and it says how long
/// records are kept.
pub(super) fn divided<'a>(
    fleet: &'a FleetView,
    of: Option<&OfStream>,
    ask: AskOf,
) -> (Vec<LeaseLag>, Vec<&'a LeaseView>) {
    let retention = of.map(|of| of.view.description.retention);
    let (mut said, mut rest) = (Vec::new(), Vec::new());
    let is_of_it = |view: &&LeaseView| of.is_none_or(|of| of.reads(&view.lease));
    for view in fleet.unfinished().filter(is_of_it) {
        match LeaseLag::published(view, retention).filter(|lag| is_enough(lag, ask)) {
            Some(lag) => said.push(lag),
            None => rest.push(view),
        }
    }
    (said, rest)
}

/// Whether the stream need not be asked after this.
fn is_enough(lag: &LeaseLag, ask: AskOf) -> bool {
    match ask {
        AskOf::Unsaid => true,
        AskOf::Vague => !lag.at_most || lag.behind.is_none_or(|behind| behind <= VAGUE),
        AskOf::All => false,
    }
}

/// How far behind the leases are, with a progress bar where the stream is asked.
///
/// # Errors
/// The stream cannot be opened or listed, and no holder says anything: otherwise that is said of each
/// lease that is left.
pub(super) async fn said_by_holders(
    table: &OpenTable,
    fleet: &FleetView,
    arguments: &StreamOfArguments,
) -> Result<Lags, Failure> {
    // Which leases are of the stream that was named shows in its description alone.
    let names_stream = |it: &LeaseView| it.lease.key.stream.is_some();
    let chosen = arguments.stream.is_some() && fleet.unfinished().any(names_stream);
    let (mut lags, rest) = divided(fleet, None, AskOf::Unsaid);
    let asked = Asked::default();
    if rest.is_empty() && !chosen {
        return Ok(Lags {
            of: None,
            lags,
            asked,
        });
    }
    let of = match stream_of(table, fleet, arguments).await {
        Ok(of) => of,
        Err(failure) if lags.is_empty() || chosen => return Err(failure),
        Err(failure) => {
            let why = failure.chain();
            let unknown =
                |view: &LeaseView| LeaseLag::unknown(view.lease.key.clone(), Some(why.clone()));
            lags.extend(rest.into_iter().map(unknown));
            return Ok(Lags {
                of: None,
                lags,
                asked,
            });
        }
    };
    let found = divided(fleet, Some(&of), AskOf::Unsaid);
    let all = found.1.len();
    let progress = Progress::new("asking the stream", all);
    let (lags, asked) = with_measured(&of, found, |done| progress.at(done, all)).await;
    Ok(Lags {
        of: Some(of),
        lags,
        asked,
    })
}

/// What holders say, and what the stream says of the leases that are left, as they were
/// [divided]. `tell` hears how many of these are done.
pub(super) async fn with_measured(
    of: &OfStream,
    (mut lags, rest): (Vec<LeaseLag>, Vec<&LeaseView>),
    tell: impl FnMut(usize),
) -> (Vec<LeaseLag>, Asked) {
    let rest: Vec<Lease> = rest.into_iter().map(|view| view.lease.clone()).collect();
    let (measured, asked) = measure(of, &rest, tell).await;
    lags.extend(measured);
    (lags, asked)
}
