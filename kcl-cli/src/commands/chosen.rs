//! The leases that a command is to change.

use std::collections::BTreeSet;

use clap::Args;
use kcl_core::admin::{FleetView, SteerError};
use kcl_core::model::{Lease, LeaseKey};
use serde::Serialize;

use crate::failure::{Ended, Failure};

/// Which leases.
#[derive(Args, Clone, Debug)]
pub(crate) struct ChosenArguments {
    /// Only this shard, or this lease as `kcl leases` shows it. May be given several times.
    /// Default: every lease that is not finished.
    #[arg(long = "shard", value_name = "SHARD|LEASE")]
    shards: Vec<String>,
}

impl ChosenArguments {
    /// The unfinished leases of the fleet that were chosen; a failure if one of them is not there.
    ///
    /// One that has ended is none of them: nobody reads its shard any more, whatever is written
    /// into its row. The streams of a table may have shards of the same id, which then names the
    /// leases of all of them.
    pub(super) fn of(&self, fleet: &FleetView) -> Result<Vec<Lease>, Failure> {
        chosen(&self.shards, fleet)
    }
}

/// The unfinished leases of these names, all of them if there is none.
pub(super) fn chosen(names: &[String], fleet: &FleetView) -> Result<Vec<Lease>, Failure> {
    let unfinished: Vec<&Lease> = fleet.unfinished().map(|view| &view.lease).collect();
    if names.is_empty() {
        return Ok(unfinished.into_iter().cloned().collect());
    }
    let mut chosen = BTreeSet::new();
    for text in names {
        let before = chosen.len();
        let is_named = |key: &LeaseKey| key.to_string() == *text || key.shard.as_str() == text;
        chosen.extend(
            unfinished
                .iter()
                .map(|row| &row.key)
                .filter(|key| is_named(key)),
        );
        // The second question is for one that was given twice, which is no mistake.
        if chosen.len() == before && !chosen.iter().any(|key| is_named(key)) {
            return Err(Failure::of(format!(
                "no unfinished lease is named `{text}`: expected a shard or a lease as \
                     `kcl leases` shows it"
            )));
        }
    }
    let is_chosen = |row: &&Lease| chosen.contains(&row.key);
    Ok(unfinished.into_iter().filter(is_chosen).cloned().collect())
}

pub(super) fn keys(leases: &[Lease]) -> Vec<LeaseKey> {
    leases.iter().map(|lease| lease.key.clone()).collect()
}

pub(super) fn names(keys: &[LeaseKey]) -> Vec<String> {
    keys.iter().map(ToString::to_string).collect()
}

/// A lease and who holds it, in a JSON document.
#[derive(Debug, Serialize)]
pub(super) struct HeldLease {
    lease: String,
    holder: Option<String>,
}

impl HeldLease {
    pub(super) fn of(lease: &Lease) -> Self {
        Self {
            lease: lease.key.to_string(),
            holder: lease.actual_owner().map(ToString::to_string),
        }
    }

    /// The same in two columns.
    pub(super) fn cells(self) -> [String; 2] {
        [self.lease, self.holder.unwrap_or_default()]
    }
}

/// Whether the table failed, and did not refuse.
pub(super) const fn is_of_table(error: &SteerError) -> bool {
    matches!(
        error,
        SteerError::Table { .. } | SteerError::WorkerTable { .. }
    )
}

/// Says why leases were not changed: a refusal if the table answered, else a failure. A script can
/// try the latter again; the former needs another command.
pub(super) fn refused(error: SteerError) -> Result<Ended, Failure> {
    if is_of_table(&error) {
        return Err(Failure::new("the lease table failed", error));
    }
    eprintln!("refused: {error}");
    Ok(Ended::WithFindings)
}
