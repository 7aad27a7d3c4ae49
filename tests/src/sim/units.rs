/// What calls of the lease table would cost in DynamoDB, in capacity units: by the rules in the docs of
/// `kcl-dynamo`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TableUnits {
    /// Of writes, refused ones too. A row is smaller than 1 KB.
    pub(crate) writes: u32,
    /// Of reads.
    pub(crate) reads: f64,
}

/// What a row takes, in bytes, with the names of its attributes.
const LEASE_BYTES: f64 = 410.0;
const WORKER_BYTES: f64 = 350.0;
/// What one unit reads with strong consistency. With eventual consistency it takes half.
const READ_UNIT: f64 = 4096.0;

impl TableUnits {
    pub(crate) fn write(&mut self) {
        self.writes += 1;
    }

    /// One row, with strong consistency.
    pub(crate) fn read_row(&mut self) {
        self.reads += 1.0;
    }

    /// One row with eventual consistency, or the change signal.
    pub(crate) fn read_row_eventually(&mut self) {
        self.reads += 0.5;
    }

    /// So many rows of a scan. In DynamoDB the bytes of a whole page of 1 MB are rounded up.
    pub(crate) fn read_page(&mut self, leases: usize, workers: usize, is_strong: bool) {
        let bytes = leases as f64 * LEASE_BYTES + workers as f64 * WORKER_BYTES;
        self.reads += bytes / READ_UNIT * if is_strong { 1.0 } else { 0.5 };
    }
}
