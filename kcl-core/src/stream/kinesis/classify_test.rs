use super::*;

/// The rows of the table in the module's docs: calls, what came back, kind.
fn documented() -> Vec<[String; 3]> {
    let rows = include_str!("classify.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("//! | "));
    let cells = rows.map(|row| row.split(" | ").map(ToOwned::to_owned).collect::<Vec<_>>());
    cells
        .filter(|cells| cells[0] != "calls")
        .map(|cells| [cells[0].clone(), cells[1].clone(), cells[2].clone()])
        .collect()
}

fn letter(operation: KinesisOperation) -> &'static str {
    match operation {
        R => "R",
        I => "I",
        L => "L",
        D => "D",
        S => "S",
        C => "C",
        N => "N",
        X => "X",
    }
}

fn quoted(texts: &[&str]) -> String {
    texts
        .iter()
        .map(|text| format!("`{text}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

fn written(sign: &Sign) -> String {
    match sign {
        Sign::Codes(codes) => quoted(codes),
        Sign::Saying(code, begins) => format!("`{code}` saying {}", quoted(begins)),
        Sign::Status(first, last) if first == last => format!("status {first}"),
        Sign::Status(first, last) => format!("status {first} to {last}"),
        Sign::AnyStatus => "any other status".to_owned(),
        Sign::NotBuilt => "a request that cannot be built".to_owned(),
        Sign::NotSendable => "a request that cannot be sent".to_owned(),
        Sign::Late => "no answer in time".to_owned(),
        Sign::NoConnection => "no connection".to_owned(),
        Sign::Unreadable => "an answer that cannot be read".to_owned(),
    }
}

/// Failures that a row of the docs is about, made from its text alone.
fn examples(sign: &str) -> Vec<CallFailure<'_>> {
    let named = |code, message| CallFailure::Refusal {
        status: 400,
        code: Some(code),
        message,
    };
    let bare = |status| CallFailure::Refusal {
        status,
        code: None,
        message: None,
    };
    match sign {
        "any other status" => vec![bare(301), bare(500), bare(503), bare(599)],
        "a request that cannot be built" => vec![CallFailure::NotBuilt],
        "a request that cannot be sent" => vec![CallFailure::NotSendable],
        "no answer in time" => vec![CallFailure::Late],
        "no connection" => vec![CallFailure::NoConnection],
        "an answer that cannot be read" => vec![CallFailure::Unreadable],
        _ if sign.starts_with("status ") => {
            // Both bounds, but not what rows above have taken.
            let bounds = sign["status ".len()..]
                .split(" to ")
                .map(|bound| bound.parse::<u16>().unwrap());
            let unnamed = bounds
                .filter(|status| *status != 499 || sign.ends_with("499"))
                .map(bare);
            let unknown = CallFailure::Refusal {
                status: 400,
                code: Some("AnErrorOfTheFuture"),
                message: Some("new"),
            };
            unnamed
                .chain((sign == "status 400 to 499").then_some(unknown))
                .collect()
        }
        _ => {
            let texts: Vec<_> = sign.split('`').skip(1).step_by(2).collect();
            match sign.split_once(" saying ") {
                Some(_) => texts[1..]
                    .iter()
                    .map(|begin| named(texts[0], Some(*begin)))
                    .collect(),
                None => texts
                    .into_iter()
                    .map(|code| named(code, Some("a message")))
                    .collect(),
            }
        }
    }
}

#[test]
fn the_docs_and_the_code_are_one_table() {
    let in_code = TABLE.iter().map(|row| {
        let calls = row
            .calls
            .iter()
            .map(|call| letter(*call))
            .collect::<Vec<_>>()
            .join(" ");
        [calls, written(&row.sign), format!("{:?}", row.kind)]
    });
    assert_eq!(documented(), in_code.collect::<Vec<_>>());
}

#[test]
fn every_row_of_the_docs_decides_for_its_calls() {
    let rows = documented();
    assert!(rows.len() > 25, "the table was not found in the docs");
    for [calls, sign, kind] in &rows {
        let failures = examples(sign);
        assert!(!failures.is_empty(), "{sign}");
        for operation in ALL
            .iter()
            .filter(|operation| calls.split(' ').any(|call| call == letter(**operation)))
        {
            for failure in &failures {
                assert_eq!(
                    format!("{:?}", classify(*operation, failure)),
                    *kind,
                    "{} {failure:?}",
                    operation.name()
                );
            }
        }
    }
}

#[test]
fn every_status_and_failure_has_a_row_for_every_call() {
    let refusals = (0..=u16::MAX).map(|status| CallFailure::Refusal {
        status,
        code: None,
        message: None,
    });
    let others = [
        CallFailure::NotBuilt,
        CallFailure::NotSendable,
        CallFailure::Late,
        CallFailure::NoConnection,
        CallFailure::Unreadable,
    ];
    for failure in refusals.chain(others) {
        for operation in ALL {
            assert!(
                TABLE
                    .iter()
                    .any(|row| row.calls.contains(operation) && row.sign.fits(&failure)),
                "{failure:?}"
            );
        }
    }
}

#[test]
fn an_error_that_another_call_knows_is_judged_by_its_status() {
    let shard_level = CallFailure::Refusal {
        status: 400,
        code: Some("ExpiredNextTokenException"),
        message: None,
    };
    assert_eq!(classify(R, &shard_level), ErrorKind::Denied);
    let with_status_500 = CallFailure::Refusal {
        status: 500,
        code: Some("ExpiredNextTokenException"),
        message: None,
    };
    assert_eq!(classify(R, &with_status_500), ErrorKind::Transient);
}
