use crate::lease::{ForeignWorkers, MalformedRow, ScanPage, WorkerRow};
use crate::model::{Lease, Moment};

/// All rows, read between two moments.
#[derive(Debug)]
pub struct Scan {
    /// The leases.
    pub leases: Vec<Lease>,
    /// The workers.
    pub workers: Vec<WorkerRow>,
    /// See [`ScanPage::malformed`].
    pub malformed: Vec<MalformedRow>,
    /// What is known about KCL workers.
    pub foreign: ForeignWorkers,
    /// When the first page was requested.
    pub begun: Moment,
    /// When the last page was received.
    pub ended: Moment,
}

impl Scan {
    /// The rows, as they were read between these moments.
    #[must_use]
    pub fn new(rows: ScanPage, begun: Moment, ended: Moment) -> Self {
        let ScanPage {
            leases,
            workers,
            malformed,
            foreign,
            ..
        } = rows;
        Self {
            leases,
            workers,
            malformed,
            foreign,
            begun,
            ended,
        }
    }
}
