use std::collections::BTreeMap;
use std::time::Duration;

use kcl_core::model::Timestamp;
use kcl_core::worker::{Builder, Checkpoints, FanOutConfig, Liveness, Mode};
use kcl_core::{ByteBudget, InitialPosition};

use super::credentials::CredentialsProvider;
use super::java::JavaProperties;
use super::keys::{self, Effect};
use super::own_keys::{OnChildError, liveness, on_child_error};
use super::values::Values;
use super::{PropertiesError, Setting};

/// How long a child may be silent where the file does not say it. The Java daemon waits for ever,
/// and a child that hangs stops its shard without a word. A worker gives any handler as long.
const ANSWER_LIMIT: Duration = Duration::from_secs(300);
/// How long a stop may take where the file does not say it. The Java daemon gives up at once, so
/// that no child hears of the stop, and records are processed twice.
const STOP_LIMIT: Duration = Duration::from_secs(30);
/// How often a child hears of a quiet shard where the file does not say it. The KCL calls after
/// each empty answer, so as often as it asks: every 1.5 s.
const QUIET: Duration = Duration::from_millis(1500);
/// How much memory fetched records may take where the file does not say it, in MiB: three of the
/// largest pages. A child in another language is slower than a worker, which has 128 MiB, so that a
/// larger store of records would only be memory that waits.
const MEMORY: u64 = 32;
/// A call of a child may take as long as it likes, as long as the child says something: one that
/// hangs is ended by the limit of an answer. A day is the most that the worker's setting allows,
/// and never reached.
const CALL: Duration = Duration::from_secs(24 * 3600);

/// What a properties file of the Java daemon says, with the defaults for what it does not say.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DaemonConfig {
    /// The command of a child and its arguments: `executableName`, split at blanks.
    pub command: Vec<String>,
    /// The name of the application.
    pub application: String,
    /// The name of the stream.
    pub stream: String,
    /// The name of the DynamoDB table, if it is not the application's.
    pub table: Option<String>,
    /// The id of the worker. Default: a random one.
    pub worker: Option<String>,
    /// The region. Default: where every AWS tool finds it.
    pub region: Option<String>,
    /// The URL of Kinesis.
    pub kinesis_endpoint: Option<String>,
    /// The URL of DynamoDB.
    pub dynamo_endpoint: Option<String>,
    /// Where credentials come from, in the order in which they are tried.
    pub credentials: Vec<CredentialsProvider>,
    /// The same for DynamoDB, if it differs.
    pub dynamo_credentials: Option<Vec<CredentialsProvider>>,
    /// Where a shard without a checkpoint begins.
    pub initial_position: InitialPosition,
    /// How shards are read.
    pub mode: Mode,
    /// How long a child may be silent while it owes an answer. It begins anew with each word, so a
    /// batch may take longer in a child that checkpoints within it.
    pub answer_limit: Duration,
    /// How long a stop may take. Children that have not answered by then are killed, and their
    /// records come again from the stored checkpoints.
    pub stop_limit: Duration,
    /// How many children are started ahead of need.
    pub spare_children: usize,
    /// What follows when a child fails.
    pub on_child_error: OnChildError,
    /// What shows that the worker holds its leases.
    pub liveness: Liveness,
    /// Whether a new DynamoDB table is protected against deletion.
    pub deletion_protection: bool,
    /// Whether the DynamoDB table can be restored to a point in time.
    pub point_in_time_recovery: bool,
    /// The tags of a new DynamoDB table.
    pub tags: BTreeMap<String, String>,
    /// How much memory fetched records may take, in MiB.
    memory: u64,
    /// The most records of a page. `None` here and below: the worker's default counts.
    max_records: Option<u64>,
    /// The longest pause between two calls on a shard that has nothing new.
    idle: Option<Duration>,
    /// How often a child hears of a quiet shard, by an empty list of records; `None` if the file
    /// does not ask for that.
    quiet: Option<Duration>,
    /// How long a worker may be silent before its leases are taken. All daemons of an application
    /// need the same, as with the KCL.
    failover: Option<Duration>,
    /// The most leases that this worker holds.
    max_leases: Option<u64>,
    /// The most leases that it requests at the same time.
    max_moves: Option<u64>,
    /// How long a batch may take to finish when its lease is requested.
    drain_limit: Option<Duration>,
    /// The first pause after a failure; the following ones grow to 30 s, or stay as they are if
    /// this is longer.
    retry_from: Option<Duration>,
    /// How long a call of a child may take before it is logged.
    warning: Option<Duration>,
    /// How often shards are compared with leases.
    audit_every: Option<Duration>,
    /// Each key of the file, for `--dry-run`.
    entries: Vec<Setting>,
    /// What deserves a word, in the order of the checks.
    notes: Vec<String>,
}

impl DaemonConfig {
    /// Reads a properties file. As the Java daemon does, it ignores keys that nobody knows and
    /// numbers that are none; [`notes`](Self::notes) names each of them.
    ///
    /// # Errors
    /// If something that has no default is missing, or cannot be.
    pub fn read(bytes: &[u8]) -> Result<Self, PropertiesError> {
        let file = JavaProperties::read(bytes)?;
        let entries = file.entries();
        let mut values = Values::new(&entries);
        let command: Vec<String> = values
            .required(
                "executableName",
                "the command that starts a record processor",
            )?
            // At blanks and not as a shell would: so does the Java daemon, and a quote in a path
            // would be kept by both.
            .split(' ')
            .filter(|part| !part.is_empty())
            .map(str::to_owned)
            .collect();
        let application = values.required("applicationName", "the name of the application")?;
        let stream = stream(&values)?;
        let credentials = read_credentials(&mut values, "")?.ok_or(PropertiesError::Missing {
            key: "AwsCredentialsProvider",
            what: "where credentials come from, such as DefaultCredentialsProvider",
        })?;
        let dynamo_credentials = read_credentials(&mut values, "dynamodb")?;
        let initial_position = initial_position(&mut values)?;
        let mode = mode(&mut values)?;
        let answer_limit = match values.seconds("timeoutInSeconds") {
            // 0 would end every child at its first question.
            Some(limit) if !limit.is_zero() => limit,
            _ => {
                values.note(format!(
                    "without timeoutInSeconds a child may take {} s for an answer; the Java daemon \
                     would wait for ever",
                    ANSWER_LIMIT.as_secs()
                ));
                ANSWER_LIMIT
            }
        };
        let stop_limit = match values.millis("shutdownGraceMillis", 1, u64::MAX) {
            Some(limit) => limit,
            None => {
                values.note(format!(
                    "without shutdownGraceMillis a stop may take {} s; the Java daemon would not \
                     wait for its children at all",
                    STOP_LIMIT.as_secs()
                ));
                STOP_LIMIT
            }
        };
        let on_child_error = on_child_error(&values)?;
        let liveness = liveness(&values)?;
        // At most a minute: a shard that is asked less often would be too far behind whenever a
        // record comes.
        let idle = values.millis("idleTimeBetweenReadsInMillis", 1, 60_000);
        let quiet = values
            .is_true("callProcessRecordsEvenForEmptyRecordList")
            .then(|| idle.unwrap_or(QUIET));
        // The limits below are those of the worker's own settings, so that `build` refuses none of
        // them.
        let hour = 3_600_000;
        Ok(Self {
            command,
            application,
            stream,
            table: values.text("tableName"),
            worker: values.text("workerId"),
            region: values.text("regionName"),
            kinesis_endpoint: values
                .text("kinesisEndpoint")
                .or_else(|| values.text("kinesisClient.endpointOverride"))
                .map(url),
            dynamo_endpoint: values
                .text("dynamoDBEndpoint")
                .or_else(|| values.text("dynamoDbClient.endpointOverride"))
                .map(url),
            credentials,
            dynamo_credentials,
            initial_position,
            mode,
            answer_limit,
            stop_limit,
            spare_children: values
                .number("spareChildren", 0, 1000)
                .map_or(1, |number| usize::try_from(number).unwrap_or(1)),
            on_child_error,
            liveness,
            deletion_protection: values.is_true("leaseTableDeletionProtectionEnabled"),
            point_in_time_recovery: values.is_true("leaseTablePitrEnabled"),
            tags: tags(&values),
            // At least 10: a page may have 10 MiB, and a budget that never fits one would read none.
            memory: values
                .number("byteBudgetMiB", 10, 1 << 20)
                .unwrap_or(MEMORY),
            max_records: values.number("maxRecords", 1, 10_000),
            idle,
            quiet,
            failover: values.millis("failoverTimeMillis", 1000, hour),
            max_leases: values.number("maxLeasesForWorker", 1, u64::MAX),
            max_moves: values.number("maxLeasesToStealAtOneTime", 1, u64::MAX),
            // The KCL waits 30 s. Here a requester gives up after 15 s, so an owner must have
            // answered before: a longer time is cut, with a note.
            drain_limit: values.millis("gracefulLeaseHandoffTimeoutMillis", 1, 10_000),
            retry_from: values.millis("taskBackoffTimeMillis", 1, hour),
            warning: values.millis("logWarningForTaskAfterMillis", 1, 24 * hour),
            audit_every: values.millis("shardSyncIntervalMillis", 1000, 24 * hour),
            // Last but one: it adds notes about the keys that nobody knows.
            entries: settings(&entries, &mut values),
            notes: values.into_notes(),
        })
    }

    /// What deserves a word: keys that nobody knows, values that cannot be, and defaults that differ
    /// from those of the Java daemon.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// What the file sets, and what becomes of it.
    #[must_use]
    pub fn entries(&self) -> &[Setting] {
        &self.entries
    }

    /// Passes the settings of the worker on.
    ///
    /// Checkpoints are stored only where a child asks for them. An answer only says that the
    /// handler has returned: two of the libraries send it after an exception of the user's code as
    /// well. Stored by themselves, checkpoints would pass the records that were not processed.
    pub fn apply(&self, mut builder: Builder) -> Builder {
        let number = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
        builder = builder
            .stream(&self.stream)
            .application(&self.application)
            .initial_position(self.initial_position)
            .mode(self.mode.clone())
            .liveness(self.liveness)
            .checkpoints(Checkpoints::Manual)
            // A worker gives a shard up whose handler takes too long; here the limit of an answer
            // ends the child before.
            .handler_budget(CALL);
        // An invalid budget cannot come out of `read`; then the worker's own default counts.
        let memory = number(self.memory.saturating_mul(1 << 20));
        if let Ok(budget) = ByteBudget::new(memory) {
            builder = builder.byte_budget(budget);
        }
        if let Some(worker) = &self.worker {
            builder = builder.worker_id(worker);
        }
        if let Some(records) = self.max_records {
            builder = builder.max_records(u32::try_from(records).unwrap_or(10_000));
        }
        if let Some(idle) = self.idle {
            // The service allows a shard five calls a second, which all its readers share. Who
            // asked for a pause wants no more calls than that makes, also on a shard that is
            // behind.
            let calls = (1000 / idle.as_millis().max(1)).clamp(1, 5);
            builder = builder
                .idle_ceiling(idle)
                .calls_per_second(usize::try_from(calls).unwrap_or(5));
        }
        if let Some(quiet) = self.quiet {
            builder = builder.idle_every(quiet);
        }
        if let Some(failover) = self.failover {
            builder = builder.failover(failover);
        }
        if let Some(leases) = self.max_leases {
            builder = builder.max_leases(number(leases));
        }
        if let Some(moves) = self.max_moves {
            builder = builder.max_moves(number(moves));
        }
        if let Some(limit) = self.drain_limit {
            builder = builder.drain_limit(limit);
        }
        if let Some(pause) = self.retry_from {
            builder = builder.retry_pause(pause, pause.max(Duration::from_secs(30)));
        }
        if let Some(warning) = self.warning {
            builder = builder.handler_warning(warning);
        }
        if let Some(every) = self.audit_every {
            builder = builder.audit_every(every);
        }
        builder
    }
}

/// `streamArn` wins; only the name in it counts, as in the Java daemon: the samples have the ARN of
/// an account that does not exist.
fn stream(values: &Values<'_>) -> Result<String, PropertiesError> {
    let Some(arn) = values.text("streamArn") else {
        return values.text("streamName").ok_or(PropertiesError::Missing {
            key: "streamName",
            what: "the name of the stream, or its ARN as streamArn",
        });
    };
    // arn, partition, service, region, account, resource.
    let name = match arn.split(':').collect::<Vec<_>>()[..] {
        ["arn", _, "kinesis", _, _, resource] => resource.strip_prefix("stream/"),
        _ => None,
    };
    match name {
        Some(name) if !name.is_empty() => Ok(name.to_owned()),
        _ => Err(PropertiesError::Invalid {
            key: "streamArn",
            value: arn,
            expected: "arn:PARTITION:kinesis:REGION:ACCOUNT:stream/NAME",
        }),
    }
}

/// The credentials for this, if the file names any.
fn read_credentials(
    values: &mut Values<'_>,
    which: &str,
) -> Result<Option<Vec<CredentialsProvider>>, PropertiesError> {
    // `which` is empty for all services, or names one: `AwsCredentialsProviderDynamoDB`.
    let Some(value) = values.find(|key| keys::credentials_of(key) == Some(which)) else {
        return Ok(None);
    };
    let (providers, wrong) = CredentialsProvider::read(&value);
    // A file that names only providers that are not known must not fall back to another account's
    // credentials.
    if providers.is_empty() {
        return Err(PropertiesError::NoCredentials {
            value,
            why: wrong.join("; "),
        });
    }
    // A provider that is not known is no error beside one that is: the Java daemon skips it as
    // well.
    for wrong in wrong {
        values.note(format!("AwsCredentialsProvider: {wrong}; it is left out"));
    }
    Ok(Some(providers))
}

/// Where a shard without a checkpoint begins. LATEST by default, as in the Java daemon, with a
/// note: records that were put before the first start are not read then. Every sample says
/// TRIM_HORIZON, so a file that says nothing is mostly one in which it was forgotten.
///
/// A shard with a checkpoint goes on there, whatever stands here.
fn initial_position(values: &mut Values<'_>) -> Result<InitialPosition, PropertiesError> {
    if let Some(seconds) = values.number("initialPositionInStreamExtended", 0, u64::MAX / 1000) {
        if values.text("initialPositionInStream").is_some() {
            values.note(
                "initialPositionInStreamExtended counts, and not initialPositionInStream; with the \
                 Java daemon it is a matter of chance"
                    .to_owned(),
            );
        }
        let millis = i64::try_from(seconds.saturating_mul(1000)).unwrap_or(i64::MAX);
        return Ok(InitialPosition::AtTimestamp(Timestamp::from_millis(millis)));
    }
    match values.text("initialPositionInStream") {
        None => {
            values.note(
                "without initialPositionInStream a shard without a checkpoint begins at LATEST: \
                 records from before the first start are not read"
                    .to_owned(),
            );
            Ok(InitialPosition::Latest)
        }
        Some(text) if text.eq_ignore_ascii_case("TRIM_HORIZON") => Ok(InitialPosition::TrimHorizon),
        Some(text) if text.eq_ignore_ascii_case("LATEST") => Ok(InitialPosition::Latest),
        Some(value) => Err(PropertiesError::Invalid {
            key: "initialPositionInStream",
            value,
            expected: "TRIM_HORIZON or LATEST; a time is set by initialPositionInStreamExtended",
        }),
    }
}

/// As the Java daemon: fan-out, unless the file says polling, or sets anything that is only for
/// polling. None of the samples does, so that they all read by fan-out, and pay for it.
fn mode(values: &mut Values<'_>) -> Result<Mode, PropertiesError> {
    // What the Java daemon builds its polling configuration from.
    let polls = [
        "maxRecords",
        "idleTimeBetweenReadsInMillis",
        "millisBehindLatestThresholdForReducedTps",
        "retryGetRecordsInSeconds",
        "maxGetRecordsThreadPool",
    ];
    let mut fan_out = match values.text("fanoutConfig.consumerArn") {
        Some(arn) => FanOutConfig::external(arn),
        // The consumer outlives the daemon, as with the Java daemon.
        None => FanOutConfig::shared(),
    };
    if let Some(name) = values.text("fanoutConfig.consumerName") {
        fan_out = fan_out.name(name);
    }
    match values
        .text("retrievalMode")
        .map(|mode| mode.to_ascii_uppercase())
    {
        Some(mode) if mode == "POLLING" => Ok(Mode::Polling),
        Some(mode) if mode == "FANOUT" => Ok(Mode::FanOut(fan_out)),
        None => Ok(by_default(values, &polls, fan_out)),
        Some(mode) if mode == "DEFAULT" => Ok(by_default(values, &polls, fan_out)),
        Some(value) => Err(PropertiesError::Invalid {
            key: "retrievalMode",
            value,
            expected: "POLLING, FANOUT or DEFAULT",
        }),
    }
}

/// Polling if any of these keys is set: who sets one means polling.
fn by_default(values: &Values<'_>, polls: &[&str], fan_out: FanOutConfig) -> Mode {
    // Whatever the value: a key that has no effect chooses the mode all the same, as in Java.
    if polls.iter().any(|key| values.text(key).is_some()) {
        Mode::Polling
    } else {
        Mode::FanOut(fan_out)
    }
}

/// `NAME=VALUE`, separated by commas. A part without `=` sets nothing, as in the Java daemon.
fn tags(values: &Values<'_>) -> BTreeMap<String, String> {
    let text = values.text("leaseTableTags").unwrap_or_default();
    text.split(',')
        .filter_map(|tag| tag.split_once('='))
        .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        .collect()
}

/// An endpoint may be written without its scheme. It means HTTPS then: plain HTTP is for emulators,
/// and has to be asked for.
fn url(text: String) -> String {
    if text.contains("://") {
        text
    } else {
        format!("https://{text}")
    }
}

/// What becomes of each key, and a note about those that nobody knows.
fn settings(entries: &[(&str, &str)], values: &mut Values<'_>) -> Vec<Setting> {
    let mut settings = Vec::new();
    for (key, value) in entries {
        let (effect, sets) = match keys::effect(key) {
            Some(Effect::Sets(what)) => (what.to_owned(), true),
            Some(Effect::Nothing(why)) => (format!("no effect: {why}"), false),
            None => {
                let meant = keys::meant(key)
                    .map(|meant| format!("; `{meant}` is known"))
                    .unwrap_or_default();
                values.note(format!(
                    "the key `{key}` is not known{meant}: it has no effect"
                ));
                (format!("no effect: not known{meant}"), false)
            }
        };
        settings.push(Setting {
            key: (*key).to_owned(),
            value: (*value).to_owned(),
            effect,
            sets,
        });
    }
    settings
}
