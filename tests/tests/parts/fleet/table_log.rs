//! What is read out of the logs of a lease table.

use tests::fleet::{TableCall, checkpoints_that_went_back};

fn call(lease: &str, counter: u64, checkpoint: &str) -> TableCall {
    let line = format!(
        r#"{{"begun":1,"ended":2,"op":"renew","lease":"{lease}","outcome":"ok",
           "row":{{"owner":"w1","token":"t","counter":{counter},"checkpoint":"{checkpoint}"}}}}"#
    );
    TableCall::parse(&line).unwrap()
}

#[test]
fn reads_have_the_prices_of_dynamodb() {
    let units = |text: &str| {
        TableCall::parse(&format!(r#"{{"begun":1,"ended":2,"outcome":"ok",{text}}}"#))
            .unwrap()
            .read_units()
    };
    assert_eq!(
        units(r#""op":"scan","leases":64,"workers":8,"consistent":false"#),
        3.5
    );
    assert_eq!(
        units(r#""op":"scan","leases":64,"workers":8,"consistent":true"#),
        7.0
    );
    assert_eq!(units(r#""op":"scan","leases":0,"workers":0"#), 0.5);
    assert_eq!(
        [
            units(r#""op":"get""#),
            units(r#""op":"change signal""#),
            units(r#""op":"renew""#)
        ],
        [1.0, 0.5, 0.0]
    );
}

#[test]
fn checkpoints_are_compared_in_the_order_of_the_counters() {
    let calls = [
        call("a", 3, "17"),
        call("a", 1, "TRIM_HORIZON"),
        call("b", 1, "20"),
        call("a", 2, "16.4"),
    ];
    assert!(checkpoints_that_went_back(&calls).is_empty());
    let back = [
        call("a", 4, "17"),
        call("a", 5, "16"),
        call("b", 6, "SHARD_END"),
        call("b", 7, "9"),
    ];
    let back = checkpoints_that_went_back(&back);
    assert_eq!(back.len(), 2, "{back:?}");
    assert!(
        back[0].contains("a: 16 at counter 5, after 17 at 4"),
        "{back:?}"
    );
}
