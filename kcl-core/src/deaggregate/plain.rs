use crate::model::{RawRecord, Record};

/// Each Kinesis record is one user record.
pub(crate) fn deaggregate(raw: Vec<RawRecord>) -> Vec<Record> {
    raw.into_iter().map(Record::from).collect()
}
