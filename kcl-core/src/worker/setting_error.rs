use std::fmt;

/// An invalid setting.
///
/// ```
/// # use kcl_core::processor::{ProcessRecordsInput, ShardRef};
/// # use kcl_core::{BoxError, Failure, MemoryLeaseTable, MemoryStream, RecordProcessor, Worker};
/// # struct Printer;
/// # impl RecordProcessor for Printer {
/// #     async fn process_records(&mut self, _: ProcessRecordsInput) -> Result<(), Failure> {
/// #         Ok(())
/// #     }
/// # }
/// use std::time::Duration;
///
/// # let stream = MemoryStream::new("orders", 1);
/// # let builder = Worker::builder().stream("orders").source(stream).application("printer").lease_table(MemoryLeaseTable::new());
/// let error = builder.processor(|_: &ShardRef| Printer).failover(Duration::from_millis(20)).build().unwrap_err();
/// assert_eq!(error.setting, "failover");
/// println!("{error}");
/// ```
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid setting `{setting}`: got {value}, expected {allowed}")]
#[non_exhaustive]
pub struct SettingError {
    /// The name of the setting.
    pub setting: &'static str,
    /// The value that was set, or `nothing` if none was set.
    pub value: String,
    /// The allowed values, in words.
    pub allowed: String,
}

// A `main` that returns an error prints its `Debug` output, which should be the message and not the
// fields.
impl fmt::Debug for SettingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl SettingError {
    pub(super) fn missing(setting: &'static str, allowed: &str) -> Self {
        Self {
            setting,
            value: "nothing".to_owned(),
            allowed: allowed.to_owned(),
        }
    }

    pub(super) fn no_source() -> Self {
        Self::missing("source", "a stream to read (the feature `kinesis` is off)")
    }

    pub(super) fn one_stream_only() -> Self {
        Self {
            setting: "streams",
            value: "those of a worker of one stream".to_owned(),
            allowed: "a worker that was built with `streams`".to_owned(),
        }
    }
}
