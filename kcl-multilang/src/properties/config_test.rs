use std::time::Duration;

use kcl_core::InitialPosition;
use kcl_core::worker::{FanOutConfig, Liveness, Mode};

use super::*;

/// What is set in the samples of `amazon_kclpy`, `aws-kclrb` and the .NET library.
const SAMPLE: &str = "\
# The script that abides by the multi-language protocol.
executableName = sample_kclpy_app.py
streamArn = arn:aws:kinesis:us-east-5:000000000000:stream/kclpysample
streamName = kclpysample
applicationName = PythonKCLSample
AwsCredentialsProvider = DefaultCredentialsProvider
processingLanguage = python/3.8
initialPositionInStream = TRIM_HORIZON
regionName = us-east-1
";

fn read(text: &str) -> DaemonConfig {
    DaemonConfig::read(text.as_bytes()).unwrap()
}

/// The sample with these lines behind it.
fn with(lines: &str) -> DaemonConfig {
    read(&format!("{SAMPLE}{lines}\n"))
}

fn refused(text: &str) -> String {
    DaemonConfig::read(text.as_bytes()).unwrap_err().to_string()
}

#[test]
fn the_samples_of_the_libraries_are_read() {
    let config = read(SAMPLE);
    assert_eq!(config.command, ["sample_kclpy_app.py"]);
    assert_eq!(config.application, "PythonKCLSample");
    assert_eq!(config.stream, "kclpysample", "the name in the ARN");
    assert_eq!(config.region.as_deref(), Some("us-east-1"));
    assert_eq!(config.credentials, [CredentialsProvider::Default]);
    assert_eq!(config.initial_position, InitialPosition::TrimHorizon);
    assert_eq!(config.mode, Mode::FanOut(FanOutConfig::shared()));
    assert_eq!(config.answer_limit, Duration::from_secs(300));
    assert_eq!(config.on_child_error, OnChildError::Retry);
    assert_eq!(config.liveness, Liveness::Auto);
    let compatible = read(&format!("{SAMPLE}liveness = compatible\n"));
    assert_eq!(compatible.liveness, Liveness::Compatible);
    assert!(!config.notes().iter().any(|note| note.contains("not known")));
    // Node.js: no ARN, and a command of two words. The click-stream sample of Ruby: the name that
    // the SDK before had.
    let node = SAMPLE
        .replace("sample_kclpy_app.py", "node  sample_kcl_app.js ")
        .replace(
            "DefaultCredentialsProvider",
            "DefaultAWSCredentialsProviderChain",
        )
        .replace("AwsCredentials", "AWSCredentials")
        .replace("streamArn", "#streamArn");
    let config = read(&node);
    assert_eq!(config.command, ["node", "sample_kcl_app.js"]);
    assert_eq!(config.credentials, [CredentialsProvider::Default]);
}

#[test]
fn every_key_has_an_effect_or_a_reason_why_it_has_none() {
    for (key, _) in keys::KEYS {
        // Some have values of their own; those are in the sample or tested below.
        let Ok(config) = DaemonConfig::read(format!("{SAMPLE}{key} = 7\n").as_bytes()) else {
            continue;
        };
        let setting = config.entries().iter().find(|setting| setting.key == *key);
        let effect = &setting.unwrap().effect;
        assert!(effect.len() > 5, "{key}: {effect}");
        assert!(
            !config.notes().iter().any(|note| note.contains("not known")),
            "{key}"
        );
    }
}

#[test]
fn a_key_that_nobody_knows_is_named_once() {
    let config = with("RetrievalMode = POLLING\nfoo = 1\nfoo = 2\nfail_over_time_millis = 3");
    let unknown: Vec<&String> = config
        .notes()
        .iter()
        .filter(|note| note.contains("not known"))
        .collect();
    assert_eq!(
        unknown,
        [
            "the key `RetrievalMode` is not known; `retrievalMode` is known: it has no effect",
            "the key `foo` is not known: it has no effect",
            "the key `fail_over_time_millis` is not known; `failoverTimeMillis` is known: it has no effect",
        ]
    );
    assert_eq!(config.mode, Mode::FanOut(FanOutConfig::shared()));
}

#[test]
fn anything_that_is_only_for_polling_makes_it_poll() {
    let fan_out = |config: FanOutConfig| Mode::FanOut(config);
    for (lines, mode) in [
        ("maxRecords = 100", Mode::Polling),
        ("idleTimeBetweenReadsInMillis = 250", Mode::Polling),
        ("maxGetRecordsThreadPool = 4", Mode::Polling),
        ("retrievalMode = polling", Mode::Polling),
        ("retrievalMode = DEFAULT", fan_out(FanOutConfig::shared())),
        (
            "retrievalMode = FANOUT\nmaxRecords = 100",
            fan_out(FanOutConfig::shared()),
        ),
        (
            "fanoutConfig.consumerName = fast",
            fan_out(FanOutConfig::shared().name("fast")),
        ),
        (
            "fanoutConfig.consumerArn = arn:x",
            fan_out(FanOutConfig::external("arn:x")),
        ),
    ] {
        assert_eq!(with(lines).mode, mode, "{lines}");
    }
}

#[test]
fn a_number_that_cannot_be_is_noted_and_the_nearest_counts() {
    let config = with("maxRecords = 20000\nfailoverTimeMillis = 10s");
    let notes = config.notes().join("\n");
    assert!(
        notes.contains("maxRecords is 20000: expected 1 to 10000, so 10000 counts"),
        "{notes}"
    );
    assert!(
        notes.contains("failoverTimeMillis is `10s`, which is no number: the default counts"),
        "{notes}"
    );
}

#[test]
fn a_default_that_differs_from_the_java_daemon_is_said() {
    let notes = read(&SAMPLE.replace("initialPositionInStream", "#"))
        .notes()
        .join("\n");
    for word in ["timeoutInSeconds", "shutdownGraceMillis", "LATEST"] {
        assert!(notes.contains(word), "{word} is not in: {notes}");
    }
    let config = with("timeoutInSeconds = 20\nshutdownGraceMillis = 5000");
    assert_eq!(config.notes(), Vec::<String>::new());
    assert_eq!(config.answer_limit, Duration::from_secs(20));
    assert_eq!(config.stop_limit, Duration::from_secs(5));
}

#[test]
fn what_is_missing_or_cannot_be_is_said() {
    for (line, words) in [
        ("executableName", "no `executableName`"),
        ("applicationName", "no `applicationName`"),
        ("AwsCredentialsProvider", "no `AwsCredentialsProvider`"),
    ] {
        let text = SAMPLE.replace(line, "#");
        assert!(refused(&text).contains(words), "{}", refused(&text));
    }
    for (lines, words) in [
        (
            "streamArn = arn:aws:kinesis:x",
            "`streamArn` is `arn:aws:kinesis:x`",
        ),
        (
            "initialPositionInStream = AT_TIMESTAMP",
            "initialPositionInStreamExtended",
        ),
        ("retrievalMode = fast", "POLLING, FANOUT or DEFAULT"),
        ("onChildError = ignore", "retry"),
        ("liveness = java", "auto, fleet, compatible or kcl"),
        (
            "AwsCredentialsProvider = com.example.Mine",
            "`com.example.Mine` is not known",
        ),
        ("x = \\u12", "four hexadecimal digits"),
    ] {
        let text = format!("{SAMPLE}{lines}\n");
        assert!(refused(&text).contains(words), "{}", refused(&text));
    }
}
