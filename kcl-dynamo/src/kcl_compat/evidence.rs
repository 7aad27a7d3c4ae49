//! What the rows of a table show about Java workers.

use std::collections::BTreeMap;

use crate::item::attribute::*;
use crate::item::{Item, Reader};

/// What the rows of a table show about Java workers, gathered over all pages of a scan.
///
/// It only collects: [`judge`](super::judge) decides. Attributes that cannot be read count as
/// missing, because the rows belong to another program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Evidence {
    /// Whether there is a lease without `entityType`.
    pub(crate) old_lease: bool,
    /// Whether there is a row that only a KCL writes.
    pub(crate) kcl_row: bool,
    /// `cv` of `Migration3.0`, in this table or in the additional one of a KCL before 3.5.
    pub(crate) client_version: Option<String>,
    /// Whether there is an additional table of a KCL before 3.5.
    pub(crate) legacy_table: bool,
    /// `lut` of the rows of worker metrics that this crate has not written, by worker: seconds
    /// since 1970.
    pub(crate) metrics: BTreeMap<String, i64>,
    /// `recordVersionNumber` of the row `Leader`.
    pub(crate) leader: Option<String>,
}

impl Evidence {
    /// Adds a row, whichever kind it is. Most are leases of this framework and show nothing.
    pub(crate) fn add(&mut self, item: &Item) {
        let reader = Reader(item);
        let text = |attribute| reader.text(attribute).ok().flatten();
        let kind = text(ENTITY_TYPE);
        match (kind, reader.key()) {
            (None, _) if reader.has(LEASE_COUNTER) || reader.has(CHECKPOINT) => {
                self.old_lease = true;
            }
            (_, MIGRATION_KEY) => {
                self.kcl_row = true;
                self.client_version = text(CLIENT_VERSION).map(ToOwned::to_owned);
            }
            (Some(KIND_LEADER), _) | (None, LEADER_KEY) => {
                self.kcl_row = true;
                self.leader = text(RECORD_VERSION).map(ToOwned::to_owned);
            }
            (Some(KIND_WORKER), key) if !reader.is_our_worker() => {
                self.kcl_row = true;
                let at = reader.number(LAST_UPDATE).ok().flatten().unwrap_or(0);
                self.metrics.insert(key.to_owned(), at);
            }
            _ => {}
        }
    }

    /// Adds what the additional tables of a KCL before 3.5 show. Their client version wins over
    /// that of this table: a KCL 3.0 to 3.4 writes it there.
    pub(crate) fn add_beside(&mut self, beside: &Self) {
        self.legacy_table |= beside.legacy_table;
        if beside.client_version.is_some() {
            self.client_version.clone_from(&beside.client_version);
        }
        self.metrics.extend(
            beside
                .metrics
                .iter()
                .map(|(worker, at)| (worker.clone(), *at)),
        );
    }

    /// Whether a KCL has ever used this table.
    pub(crate) const fn of_a_kcl(&self) -> bool {
        self.old_lease || self.kcl_row
    }
}
