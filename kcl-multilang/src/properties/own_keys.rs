//! Keys that the Java daemon does not have. An invalid value of one is an error, and not ignored as the
//! Java daemon would.

use kcl_core::worker::Liveness;

use super::PropertiesError;
use super::values::Values;

/// What follows when a child ends, hangs or talks nonsense.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnChildError {
    /// Another child begins at the stored checkpoint of the shard, after a pause that grows. All
    /// other shards go on.
    #[default]
    Retry,
    /// The daemon ends with the exit code 1, as the Java daemon does. Unlike that, it gives up all
    /// other shards in an orderly way first.
    Exit,
}

/// What follows when a child fails.
pub(super) fn on_child_error(values: &Values<'_>) -> Result<OnChildError, PropertiesError> {
    match values.text("onChildError").as_deref() {
        None | Some("retry") => Ok(OnChildError::Retry),
        Some("exit") => Ok(OnChildError::Exit),
        Some(value) => Err(PropertiesError::Invalid {
            key: "onChildError",
            value: value.to_owned(),
            expected: "retry (another child begins at the checkpoint) or exit (as the Java daemon)",
        }),
    }
}

/// What shows that the worker holds its leases.
pub(super) fn liveness(values: &Values<'_>) -> Result<Liveness, PropertiesError> {
    let Some(value) = values.text("liveness") else {
        return Ok(Liveness::default());
    };
    value.parse().map_err(|_| PropertiesError::Invalid {
        key: "liveness",
        value,
        expected: "auto, fleet, compatible or kcl",
    })
}
