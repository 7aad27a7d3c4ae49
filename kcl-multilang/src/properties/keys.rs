//! Every key that the Java daemon knows, and what becomes of it here.
//!
//! The list is that of the KCL 3.5.1. Its daemon passes over a key that it does not know without a
//! word: with `RetrievalMode=POLLING` a stream is read by fan-out, because only `retrievalMode` is
//! a key. So a key is of one of three kinds here:
//!
//! ```text
//!   a setting                  Sets      shown by --dry-run
//!   known, and needless here   Nothing   shown with the reason, and never logged
//!   not known                  None      noted in the log, with the key that was probably meant
//! ```

/// What a key is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// It sets this.
    Sets(&'static str),
    /// It sets nothing, for this reason.
    Nothing(&'static str),
}

use Effect::{Nothing, Sets};

// The reasons that several keys share. `--dry-run` shows them behind `no effect:`, so that nobody
// who moves from the Java daemon has to guess whether a key was overlooked.
const ONE_CHILD: &str = "children and their pipes need no threads of their own here";
const NO_CLOUDWATCH: &str =
    "no metrics are sent to CloudWatch: `--metrics` serves them to Prometheus";
const NO_LEADER: &str = "no worker is a leader that measures and assigns: each decides for itself";
const OWN_RETRIES: &str =
    "calls are repeated until they succeed, with pauses of this framework's own";
const NO_TABLE: &str = "this framework has only one table, with the leases in it";
const ON_DEMAND: &str = "a table is created with on-demand capacity";
const NO_EFFECT_IN_JAVA: &str = "it has no effect in the Java daemon either";

/// By name; the credentials, whose prefix is written in several ways, are not among them.
pub(super) const KEYS: &[(&str, Effect)] = &[
    // What is read, and by whom. Without these the Java daemon does not start either.
    ("executableName", Sets("the command of a child")),
    ("applicationName", Sets("the application")),
    ("streamName", Sets("the stream")),
    // The samples of three languages give a name and beside it an ARN, of an account that does not
    // exist.
    (
        "streamArn",
        Sets(
            "the stream, by the name in it; region and account come from `regionName` and the credentials",
        ),
    ),
    (
        "processingLanguage",
        Nothing("it is only logged by the Java daemon"),
    ),
    // In the Java daemon each shard has a thread for good and two more for each message, so that a
    // small fixed number of them stands still.
    ("maxActiveThreads", Nothing(ONE_CHILD)),
    // Anew with each word of the child, in both daemons. In Java it ends the whole process, in the
    // middle of the other shards' records.
    (
        "timeoutInSeconds",
        Sets("how long a child may take for an answer"),
    ),
    // 0 in Java, which then tells no child that it has to stop.
    ("shutdownGraceMillis", Sets("how long a stop may take")),
    // Where AWS is, and who asks.
    ("workerId", Sets("the id of this worker")),
    ("regionName", Sets("the region")),
    ("kinesisEndpoint", Sets("the URL of Kinesis")),
    ("kinesisClient.endpointOverride", Sets("the URL of Kinesis")),
    ("dynamoDBEndpoint", Sets("the URL of DynamoDB")),
    (
        "dynamoDbClient.endpointOverride",
        Sets("the URL of DynamoDB"),
    ),
    (
        "initialPositionInStream",
        Sets("where a shard without a checkpoint begins"),
    ),
    // In seconds; the arrival times that a child sees are in milliseconds.
    (
        "initialPositionInStreamExtended",
        Sets("where a shard without a checkpoint begins, in seconds since 1970"),
    ),
    // How shards are read. The keys of polling choose it, as in the Java daemon, which builds the
    // configuration whose keys it finds.
    ("retrievalMode", Sets("polling or fan-out")),
    (
        "maxRecords",
        Sets("how many records one call asks for; without `retrievalMode`, polling"),
    ),
    (
        "idleTimeBetweenReadsInMillis",
        Sets("the pause between two calls on a shard; without `retrievalMode`, polling"),
    ),
    (
        "millisBehindLatestThresholdForReducedTps",
        Sets(
            "without `retrievalMode`, polling; nothing more, because calls become rare by themselves at the tip",
        ),
    ),
    (
        "retryGetRecordsInSeconds",
        Sets("without `retrievalMode`, polling; nothing more, as in the Java daemon"),
    ),
    (
        "maxGetRecordsThreadPool",
        Sets("without `retrievalMode`, polling; nothing more, as in the Java daemon"),
    ),
    (
        "fanoutConfig.consumerArn",
        Sets("the consumer of the fan-out"),
    ),
    (
        "fanoutConfig.consumerName",
        Sets("the name of the consumer of the fan-out"),
    ),
    // The KCL tries so often, 10 times by default, and then fails.
    (
        "fanoutConfig.maxDescribeStreamSummaryRetries",
        Nothing(OWN_RETRIES),
    ),
    (
        "fanoutConfig.maxDescribeStreamConsumerRetries",
        Nothing(OWN_RETRIES),
    ),
    (
        "fanoutConfig.registerStreamConsumerRetries",
        Nothing(OWN_RETRIES),
    ),
    ("fanoutConfig.retryBackoffMillis", Nothing(OWN_RETRIES)),
    (
        "callProcessRecordsEvenForEmptyRecordList",
        Sets("whether a child hears of a quiet shard, with an empty list of records"),
    ),
    // 500 ms in the KCL.
    (
        "taskBackoffTimeMillis",
        Sets("the first pause before a call that failed is repeated"),
    ),
    (
        "logWarningForTaskAfterMillis",
        Sets("how long a call may take before it is logged"),
    ),
    // Every 10 s in the KCL: so long a child shard may stand still although its parents have ended.
    (
        "parentShardPollIntervalMillis",
        Nothing("a child shard begins as soon as its parents end"),
    ),
    (
        "shardPrioritization",
        Nothing("all shards are read at the same time, parents before their children"),
    ),
    (
        "skipShardSyncAtWorkerInitializationIfLeasesExist",
        Nothing(
            "leases that exist are taken at once, whatever the listing of the shards says later",
        ),
    ),
    (
        "schedulerInitializationBackoffTimeMillis",
        Nothing(OWN_RETRIES),
    ),
    ("maxInitializationAttempts", Nothing(OWN_RETRIES)),
    // Its check of sequence numbers exists in the KCL and is called by nobody.
    (
        "validateSequenceNumberBeforeCheckpointing",
        Nothing(NO_EFFECT_IN_JAVA),
    ),
    // Leases. Every worker of an application needs the same failover time, also beside Java
    // workers.
    ("tableName", Sets("the name of the DynamoDB table")),
    (
        "failoverTimeMillis",
        Sets("how long a worker may be silent before its leases are taken"),
    ),
    // The leader of a KCL 3.x assigns at this pace, 20 s by default.
    (
        "leaseAssignmentIntervalMillis",
        Nothing("a free lease is taken as soon as it is seen"),
    ),
    (
        "shardSyncIntervalMillis",
        Sets("how often the shards are compared with the leases"),
    ),
    // The Java daemon applies no value that is the default of its type, so a `false` changes
    // nothing.
    (
        "cleanupLeasesUponShardCompletion",
        Nothing(
            "leases of shards that have ended are kept until retention has deleted their records, as by the Java daemon, which ignores a `false` as well",
        ),
    ),
    (
        "ignoreUnexpectedChildShards",
        Nothing("an unexpected shard stops nothing here"),
    ),
    ("maxLeasesForWorker", Sets("the most leases of this worker")),
    (
        "maxLeasesToStealAtOneTime",
        Sets("how many leases this worker asks others for at the same time"),
    ),
    (
        "enablePriorityLeaseAssignment",
        Nothing("expired leases are taken by all workers, without an order"),
    ),
    // For a table that is made here. One that exists keeps its capacity, whoever made it.
    ("initialLeaseTableReadCapacity", Nothing(ON_DEMAND)),
    ("initialLeaseTableWriteCapacity", Nothing(ON_DEMAND)),
    ("billingMode", Nothing(ON_DEMAND)),
    (
        "leaseTableDeletionProtectionEnabled",
        Sets("whether a new table is protected against deletion"),
    ),
    (
        "leaseTablePitrEnabled",
        Sets("whether the table can be restored to a point in time"),
    ),
    ("leaseTableTags", Sets("the tags of a new table")),
    (
        "leaseTableScanTotalSegments",
        Nothing("a scan is one after another, paced"),
    ),
    (
        "maxLeaseRenewalThreads",
        Nothing("renewals need no threads"),
    ),
    ("listShardsBackoffTimeInMillis", Nothing(OWN_RETRIES)),
    ("maxListShardsRetryAttempts", Nothing(OWN_RETRIES)),
    // What the Java daemon sends to CloudWatch.
    ("metricsLevel", Nothing(NO_CLOUDWATCH)),
    ("metricsEnabledDimensions", Nothing(NO_CLOUDWATCH)),
    ("metricsBufferTimeMillis", Nothing(NO_CLOUDWATCH)),
    ("metricsMaxQueueSize", Nothing(NO_CLOUDWATCH)),
    (
        "clientVersionConfig",
        Nothing("the rows are read and written as by a KCL 2.x and 3.x"),
    ),
    // What a KCL 3.x needs for its migration from 2.x and for its leader. This framework works
    // beside both, without a setting.
    ("migrateAllEntitiesToLeaseTable", Nothing(NO_TABLE)),
    ("tableMigrationCompleteBakeTimeSeconds", Nothing(NO_TABLE)),
    (
        "gracefulLeaseHandoffTimeoutMillis",
        Sets("how long a batch may take to finish before a requested lease is kept"),
    ),
    (
        "isGracefulLeaseHandoffEnabled",
        Nothing("leases are always handed over gracefully"),
    ),
    (
        "inMemoryWorkerMetricsCaptureFrequencyMillis",
        Nothing(NO_LEADER),
    ),
    ("workerMetricsReporterFreqInMillis", Nothing(NO_LEADER)),
    ("noOfPersistedMetricsPerWorkerMetrics", Nothing(NO_LEADER)),
    ("disableWorkerMetrics", Nothing(NO_LEADER)),
    ("maxThroughputPerHostKBps", Nothing(NO_LEADER)),
    ("dampeningPercentage", Nothing(NO_LEADER)),
    ("reBalanceThresholdPercentage", Nothing(NO_LEADER)),
    ("allowThroughputOvershoot", Nothing(NO_LEADER)),
    ("varianceBalancingFrequency", Nothing(NO_LEADER)),
    ("workerMetricsEMAAlpha", Nothing(NO_LEADER)),
    ("staleWorkerMetricsEntryCleanupDuration", Nothing(NO_LEADER)),
    // This framework's own.
    ("onChildError", Sets("what follows when a child fails")),
    (
        "liveness",
        Sets("what shows that the leases are held: heartbeats or renewals"),
    ),
    (
        "byteBudgetMiB",
        Sets("how much memory fetched records may take, in MiB"),
    ),
    (
        "spareChildren",
        Sets("how many children are started ahead of need"),
    ),
];

/// Keys of which there are many, by their beginning. They are asked after [`KEYS`], in which some
/// with the same beginning have an effect, or a reason, of their own.
const PREFIXES: &[(&str, Effect)] = &[
    ("coordinatorState", Nothing(NO_TABLE)),
    ("workerMetrics", Nothing(NO_TABLE)),
    ("cloudWatchClient.", Nothing(NO_CLOUDWATCH)),
    (
        "kinesisClient.",
        Nothing("it sets up a client of the AWS SDK for Java"),
    ),
    (
        "dynamoDbClient.",
        Nothing("it sets up a client of the AWS SDK for Java"),
    ),
];

/// How the keys of the credentials begin, in any case: old files write `AWSCredentialsProvider`.
pub(super) const CREDENTIALS: &str = "awscredentialsprovider";

/// What the key is good for, or `None` if nobody knows it.
pub(super) fn effect(key: &str) -> Option<Effect> {
    if let Some((_, effect)) = KEYS.iter().find(|(name, _)| *name == key) {
        return Some(*effect);
    }
    if let Some(which) = credentials_of(key) {
        return match which {
            "" => Some(Sets("the credentials")),
            "dynamodb" => Some(Sets("the credentials for DynamoDB")),
            "cloudwatch" => Some(Nothing(NO_CLOUDWATCH)),
            _ => None,
        };
    }
    let (_, effect) = PREFIXES.iter().find(|(start, _)| key.starts_with(start))?;
    Some(*effect)
}

/// If it is a key of credentials, for what: nothing for all, `dynamodb` or `cloudwatch`.
pub(super) fn credentials_of(key: &str) -> Option<&'static str> {
    let key = key.to_ascii_lowercase();
    let which = key.strip_prefix(CREDENTIALS)?;
    ["", "dynamodb", "cloudwatch"]
        .into_iter()
        .find(|known| *known == which)
        // A key of credentials for something else is one that nobody knows, not one of the general
        // credentials: a typing error must not decide which account is used.
        .or(Some("unknown"))
}

/// A known key that differs only in case, or in underscores.
pub(super) fn meant(key: &str) -> Option<&'static str> {
    // Only what differs in writing is suggested. A key that is similar in letters may mean
    // something else.
    let plain = |text: &str| text.replace(['_', '-'], "").to_ascii_lowercase();
    let wanted = plain(key);
    KEYS.iter()
        .map(|(name, _)| *name)
        .find(|name| plain(name) == wanted)
}
