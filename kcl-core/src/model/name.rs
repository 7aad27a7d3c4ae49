use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::InvalidValue;

/// The name or the ARN of a stream.
///
/// ```
/// use kcl_core::model::StreamName;
///
/// let by_arn: StreamName = "arn:aws:kinesis:eu-west-1:123456789012:stream/orders".parse()?;
/// assert_eq!(by_arn.name(), "orders");
/// assert!("orders and more".parse::<StreamName>().is_err());
/// # Ok::<(), kcl_core::model::InvalidValue>(())
/// ```
///
/// A name alone means the stream in the region and account of the credentials. An ARN may name
/// another account's stream, and is sent with every call. Two names that differ only in that are
/// two streams here: nothing is looked up to compare them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamName {
    /// As it was given, so that it can be shown and sent unchanged.
    text: Arc<str>,
    /// Where the bare name begins in `text`; 0 when `text` is the name.
    name_at: usize,
}

/// The name's pattern is that of the Kinesis API; of the ARN only the form is checked, as
/// partitions and regions are added over time.
const EXPECTED: &str = "a name of 1 to 128 letters, digits, `_`, `.` and `-`, or an ARN \
     `arn:PARTITION:kinesis:REGION:ACCOUNT:stream/NAME`";

impl StreamName {
    /// The stream's name, without the rest of an ARN. It labels metrics and log lines.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.text[self.name_at..]
    }

    /// The ARN, or `None` if the stream was given by name. Only the service can tell the ARN of a
    /// stream that was given by name.
    #[must_use]
    pub fn arn(&self) -> Option<&str> {
        (self.name_at > 0).then_some(&*self.text)
    }
}

impl FromStr for StreamName {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let allowed = |name: &str| {
            (1..=128).contains(&name.len())
                && name
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
        };
        let name_at = match text.split(':').collect::<Vec<_>>()[..] {
            [name] if allowed(name) => Some(0),
            ["arn", partition, "kinesis", region, account, resource]
                if [partition, region, account]
                    .iter()
                    .all(|part| !part.is_empty()) =>
            {
                resource
                    .strip_prefix("stream/")
                    .filter(|name| allowed(name))
                    .map(|name| text.len() - name.len())
            }
            _ => None,
        };
        name_at
            .map(|name_at| Self {
                text: text.into(),
                name_at,
            })
            .ok_or_else(|| InvalidValue::text("stream name", text, 256, EXPECTED))
    }
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
