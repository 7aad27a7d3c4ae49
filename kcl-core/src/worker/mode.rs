use std::sync::Arc;

use crate::model::StreamName;
use crate::stream::{ConsumerArn, WhichConsumer};

use super::setting_error::SettingError;

/// How the shards of a stream are read. An application may change the mode from one run to the
/// next: it resumes from its checkpoints.
///
/// ```
/// use kcl_core::worker::{FanOutConfig, Mode, Worker};
///
/// // By the consumer `billing`, which is registered if it does not exist.
/// let pushed = Worker::builder().stream("orders").application("billing").mode(Mode::FanOut(FanOutConfig::managed()));
/// // By a consumer that is managed elsewhere, or by polling if it is not available.
/// let given = FanOutConfig::external("arn:aws:kinesis:eu-west-1:123456789012:stream/orders/consumer/fast:1700000000");
/// let either = Worker::builder().stream("orders").application("billing").mode(Mode::Auto(given));
/// # drop((pushed, either));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mode {
    /// By `GetRecords`: 2 MB and five calls per second and shard, shared by all applications that
    /// poll it.
    #[default]
    Polling,
    /// By enhanced fan-out: records are pushed, 2 MB per second and shard for this application
    /// alone. The service charges for it. If the consumer is not available, the worker ends with
    /// [`RunError::NoConsumer`](super::RunError::NoConsumer); in a worker of several streams, that
    /// stream is left unread and retried
    /// ([`Event::ShardUnreadable`](super::Event::ShardUnreadable)).
    FanOut(FanOutConfig),
    /// By enhanced fan-out if the consumer is available within 10 s and accepts subscriptions,
    /// otherwise by polling. This is decided once for each stream and run of the worker;
    /// [`Event::PolledInstead`](super::Event::PolledInstead) reports the choice of polling.
    Auto(FanOutConfig),
}

/// The registered consumer through which an application reads: one for all its workers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FanOutConfig {
    name: Option<String>,
    lifecycle: Lifecycle,
}

/// Who registers the consumer, and who removes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Lifecycle {
    /// The application.
    #[default]
    Managed,
    /// The application registers it, and nobody removes it.
    Shared,
    /// Neither: it exists already.
    External(ConsumerArn),
}

const NAME: &str = "a consumer name of 1 to 128 letters, digits, `_`, `.` and `-`";
const ARN: &str = "`arn:PARTITION:kinesis:REGION:ACCOUNT:stream/STREAM/consumer/NAME:TIME` of the \
    stream that is read";

impl FanOutConfig {
    /// A consumer that belongs to the application, under the application's name, whoever registered
    /// it: it is registered if it does not exist, and removed only by
    /// [`Worker::retire_consumers`](super::Worker::retire_consumers).
    #[must_use]
    pub fn managed() -> Self {
        Self::default()
    }

    /// A consumer under the application's name that is registered if it does not exist, and never
    /// removed.
    #[must_use]
    pub const fn shared() -> Self {
        Self {
            name: None,
            lifecycle: Lifecycle::Shared,
        }
    }

    /// The consumer with this ARN, which exists already: it is neither registered nor removed. It
    /// belongs to one stream: in a worker of several, it is set for a
    /// [stream](super::StreamConfig::mode).
    #[must_use]
    pub fn external(arn: impl Into<Arc<str>>) -> Self {
        Self {
            name: None,
            lifecycle: Lifecycle::External(ConsumerArn::new(arn)),
        }
    }

    /// The consumer of this name. Default: the application's name.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// How to identify the consumer, or the error if the settings are invalid.
    fn which(&self, application: &str, stream: &StreamName) -> Result<WhichConsumer, SettingError> {
        if let Lifecycle::External(arn) = &self.lifecycle {
            if !is_of(arn, stream) {
                return Err(refused(arn.as_str(), ARN));
            }
            if let Some(name) = &self.name {
                return Err(refused(name, "a name or an ARN, not both"));
            }
            return Ok(WhichConsumer::Arn(arn.clone()));
        }
        let name = self.name.as_deref().unwrap_or(application);
        let fits = (1..=128).contains(&name.len())
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b));
        if fits {
            Ok(WhichConsumer::Name(name.into()))
        } else {
            Err(refused(name, NAME))
        }
    }
}

impl Mode {
    /// The consumer that this mode needs, and whether the stream may be polled instead; `None` for
    /// polling.
    pub(super) fn consumer(
        &self,
        application: &str,
        stream: &StreamName,
    ) -> Result<Option<WantedConsumer>, SettingError> {
        let (config, may_poll) = match self {
            Self::Polling => return Ok(None),
            Self::FanOut(config) => (config, false),
            Self::Auto(config) => (config, true),
        };
        let is_managed = config.lifecycle == Lifecycle::Managed;
        Ok(Some(WantedConsumer {
            which: config.which(application, stream)?,
            may_poll,
            is_managed,
        }))
    }
}

/// The consumer by which a stream should be read.
#[derive(Clone, Debug)]
pub(crate) struct WantedConsumer {
    pub(crate) which: WhichConsumer,
    /// Whether the stream is polled if the consumer is not available.
    pub(crate) may_poll: bool,
    pub(crate) is_managed: bool,
}

fn is_of(arn: &ConsumerArn, stream: &StreamName) -> bool {
    match arn.as_str().split(':').collect::<Vec<_>>()[..] {
        ["arn", partition, "kinesis", region, account, resource, time] => {
            let parts = [partition, region, account, time];
            let whose = stream
                .arn()
                .map(|arn| arn.split(':').take(5).collect::<Vec<_>>());
            let name = resource
                .strip_prefix("stream/")
                .and_then(|rest| rest.split_once("/consumer/"));
            parts.iter().all(|part| !part.is_empty())
                && name.is_some_and(|(of, name)| of == stream.name() && !name.is_empty())
                && whose.is_none_or(|whose| whose == ["arn", partition, "kinesis", region, account])
        }
        _ => false,
    }
}

fn refused(value: &str, allowed: &str) -> SettingError {
    SettingError {
        setting: "mode",
        value: format!("`{value}`"),
        allowed: allowed.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn which(
        mode: &Mode,
        application: &str,
        stream: &str,
    ) -> Result<Option<WhichConsumer>, SettingError> {
        Ok(mode
            .consumer(application, &stream.parse().unwrap())?
            .map(|wanted| wanted.which))
    }

    #[test]
    fn the_consumer_is_named_after_the_application_by_default() {
        let name = |name: &str| Ok(Some(WhichConsumer::Name(name.into())));
        assert_eq!(
            which(&Mode::FanOut(FanOutConfig::managed()), "billing", "orders"),
            name("billing")
        );
        assert_eq!(
            which(
                &Mode::Auto(FanOutConfig::shared().name("all")),
                "billing",
                "orders"
            ),
            name("all")
        );
        assert_eq!(
            which(&Mode::Polling, "a name/that:is-none", "orders"),
            Ok(None)
        );
    }

    #[test]
    fn an_invalid_consumer_name_is_refused_with_what_is_expected() {
        for name in ["", "a/b", "a:b", "ü", &"x".repeat(129)] {
            let error = which(&Mode::FanOut(FanOutConfig::managed()), name, "orders").unwrap_err();
            assert_eq!((error.setting, error.value), ("mode", format!("`{name}`")));
            assert!(error.allowed.contains("1 to 128"));
        }
        assert!(
            which(
                &Mode::FanOut(FanOutConfig::managed()),
                &"x".repeat(128),
                "orders"
            )
            .is_ok()
        );
    }

    #[test]
    fn an_arn_is_that_of_a_consumer_of_the_stream() {
        let arn =
            "arn:aws:kinesis:eu-west-1:123456789012:stream/orders/consumer/billing:1700000000";
        let mode = Mode::FanOut(FanOutConfig::external(arn));
        let by_arn = Ok(Some(WhichConsumer::Arn(ConsumerArn::new(arn))));
        assert_eq!(which(&mode, "x", "orders"), by_arn);
        assert_eq!(
            which(
                &mode,
                "x",
                "arn:aws:kinesis:eu-west-1:123456789012:stream/orders"
            ),
            by_arn
        );
        for stream in [
            "others",
            "arn:aws:kinesis:eu-west-1:999999999999:stream/orders",
        ] {
            assert!(
                which(&mode, "x", stream)
                    .unwrap_err()
                    .allowed
                    .contains("of the stream that is read"),
                "{stream}"
            );
        }
        for arn in [
            "",
            "arn:aws:kinesis:eu-west-1:123456789012:stream/orders",
            "arn:aws:sqs:e:1:stream/orders/consumer/b:1",
        ] {
            assert!(
                which(&Mode::FanOut(FanOutConfig::external(arn)), "x", "orders").is_err(),
                "{arn}"
            );
        }
        let both = Mode::FanOut(FanOutConfig::external(arn).name("billing"));
        assert!(
            which(&both, "x", "orders")
                .unwrap_err()
                .allowed
                .contains("not both")
        );
    }
}
