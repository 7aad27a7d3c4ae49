//! The command line of `consume`: which values its options take, and what they mean.

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use examples::consume::ConsumeOptions;
use kcl_core::InitialPosition;
use kcl_core::model::Timestamp;
use kcl_core::worker::{FanOutConfig, Mode};

/// The command line with this value of one option; of a wrong one, why the parser refused it.
fn with(option: &str, value: &str) -> Result<ConsumeOptions, ErrorKind> {
    let option = format!("--{option}={value}");
    let line = ["consume", "--stream=s", "--application=a", &option];
    ConsumeOptions::try_parse_from(line).map_err(|error| error.kind())
}

fn is_refused(option: &str, value: &str) -> bool {
    with(option, value).is_err_and(|kind| kind == ErrorKind::ValueValidation)
}

#[test]
fn the_command_line_is_consistent() {
    ConsumeOptions::command().debug_assert();
}

#[test]
fn a_time_is_rfc_3339_or_seconds_or_milliseconds() {
    let from = |text| with("from", text).map(|options| options.from);
    let at = |millis| Ok(InitialPosition::AtTimestamp(Timestamp::from_millis(millis)));
    assert_eq!(from("at:2020-01-02T03:04:05Z"), at(1_577_934_245_000));
    assert_eq!(from("at:2020-01-02T03:04:05.678Z"), at(1_577_934_245_678));
    assert_eq!(from("at:2020-01-02T05:04:05+02:00"), at(1_577_934_245_000));
    assert_eq!(from("at:1577934245"), at(1_577_934_245_000));
    assert_eq!(from("at:1577934245678"), at(1_577_934_245_678));
    for wrong in [
        "at:",
        "at:yesterday",
        "at:2020-01-02",
        "at:-5",
        "at:99999999999999999999",
        "beginning",
        "LATEST",
    ] {
        assert!(is_refused("from", wrong), "{wrong}");
    }
}

#[test]
fn a_budget_has_a_unit_and_a_least_size() {
    let total = |text| with("byte-budget", text).map(|options| options.byte_budget.total());
    assert_eq!(total("64MiB"), Ok(64 << 20));
    assert_eq!(total("1 GiB"), Ok(1 << 30));
    assert_eq!(total("20000000"), Ok(20_000_000));
    for wrong in ["", "MiB", "1MiB", "64MB", "-1", "99999999999GiB"] {
        assert!(is_refused("byte-budget", wrong), "{wrong}");
    }
}

#[test]
fn a_consumer_is_named_or_given_and_only_for_fan_out() {
    let read = |more: &str| {
        let options = ConsumeOptions::try_parse_from(
            ["consume", "--stream", "s", "--application", "a"]
                .into_iter()
                .chain(more.split(' ')),
        )?;
        options.check().map(|()| options.mode())
    };
    let arn = "arn:aws:kinesis:us-east-1:000000000000:stream/s/consumer/c:1";
    for (said, mode) in [
        ("--mode polling", Mode::Polling),
        ("--mode fan-out", Mode::FanOut(FanOutConfig::managed())),
        (
            "--mode auto --consumer c",
            Mode::Auto(FanOutConfig::shared().name("c")),
        ),
        (
            &format!("--mode fan-out --consumer {arn}"),
            Mode::FanOut(FanOutConfig::external(arn)),
        ),
    ] {
        assert_eq!(read(said).unwrap(), mode);
    }
    assert!(
        read("--consumer c")
            .unwrap_err()
            .to_string()
            .contains("--mode fan-out and --mode auto")
    );
    assert!(
        read("--mode pushing")
            .unwrap_err()
            .to_string()
            .contains("polling, fan-out, auto")
    );
}

#[test]
fn what_is_no_url_is_refused() {
    for wrong in ["", "127.0.0.1:4567", "http://", "http:///x", "ftp://host"] {
        assert!(is_refused("endpoint", wrong), "{wrong}");
    }
    assert!(with("endpoint", "https://kinesis.eu-west-1.amazonaws.com").is_ok());
}
