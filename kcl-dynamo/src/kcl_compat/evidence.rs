use std::collections::BTreeMap;

use crate::item::attribute::*;
use crate::item::{Item, Reader};

/// What the rows of a table say of Java workers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Evidence {
    /// A lease without `entityType`.
    pub(crate) old_lease: bool,
    /// A row that only a KCL makes.
    pub(crate) kcl_row: bool,
    /// `cv` of `Migration3.0`, here or in the table that a KCL before 3.5 keeps beside this one.
    pub(crate) client_version: Option<String>,
    /// There is a table that a KCL before 3.5 keeps beside this one.
    pub(crate) legacy_table: bool,
    /// `lut` of the rows of worker metrics that are not ours: seconds since 1970.
    pub(crate) metrics: BTreeMap<String, i64>,
    /// `recordVersionNumber` of the row `Leader`.
    pub(crate) leader: Option<String>,
}

impl Evidence {
    /// Adds a row.
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

    /// Adds what the tables show that a KCL before 3.5 keeps beside this one.
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

    /// Whether a KCL has ever worked with this table.
    pub(crate) const fn of_a_kcl(&self) -> bool {
        self.old_lease || self.kcl_row
    }
}
