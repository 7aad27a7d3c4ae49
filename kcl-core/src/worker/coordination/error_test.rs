use super::*;
use crate::lease::{MalformedRow, RowKey};
use crate::model::LeaseKey;

#[test]
fn a_malformed_row_ends_no_worker_and_a_broken_table_does() {
    let row = MalformedRow::new(
        RowKey::Lease(LeaseKey::single("shard-1")),
        "checkpoint",
        Some("x"),
        "a number",
    );
    assert!(matches!(
        CoordinationError::Table(row.into()).fatal(),
        Err(CoordinationError::Table(Error::Malformed(_)))
    ));
    let broken = Error::Fatal {
        message: "no such table".to_owned(),
        source: None,
    };
    assert!(matches!(
        CoordinationError::Table(broken).fatal(),
        Ok(RunError::LeaseTable(_))
    ));
}
