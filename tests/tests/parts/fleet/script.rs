//! How a script is read.

use std::time::Duration;

use tests::fleet::{Action, Harm, HarmedService, Script, Trouble, Whom};

#[test]
fn a_script_is_read_and_put_in_the_order_of_time() {
    let script: Script = "20s add; 10s kill 1; 1500ms freeze 2 7s;30s split ; 40s stop;"
        .parse()
        .unwrap();
    let millis: Vec<_> = script.0.iter().map(|(time, _)| time.as_millis()).collect();
    assert_eq!(millis, [1500, 10_000, 20_000, 30_000, 40_000]);
    let actions: Vec<_> = script.0.into_iter().map(|(_, action)| action).collect();
    let freeze = Action::Freeze(Whom::Number(2), Some(Duration::from_secs(7)));
    assert_eq!(
        actions,
        [
            freeze,
            Action::Kill(Whom::Number(1)),
            Action::Add,
            Action::Split,
            Action::Stop(Whom::Oldest)
        ]
    );
    assert_eq!("".parse(), Ok(Script::default()));
    let harm: Script = "1s harm 3 late table 4s 30%; 2s harm odd stream 500ms 100%"
        .parse()
        .unwrap();
    let late = Trouble {
        harm: Harm::Late,
        service: HarmedService::Table,
        span: Duration::from_secs(4),
        percent: 30,
    };
    assert_eq!(harm.0[0].1, Action::Harm(Whom::Number(3), late));
    assert_eq!(harm.to_string().parse(), Ok(harm));
}

#[test]
fn what_is_no_step_is_named_with_what_is_allowed() {
    for wrong in [
        "kill 1",
        "10 kill 1",
        "10s",
        "10s burn",
        "10s add 3",
        "10s kill 1 2s",
        "10s freeze 1 2s 3",
        "10s kill one",
        "10s harm 1",
        "10s harm 1 burn stream 1s 5%",
        "10s harm 1 odd table 1s 5%",
        "1s harm 1 hold stream 1s 0%",
    ] {
        let said = wrong.parse::<Script>().unwrap_err();
        assert!(
            said.contains("allowed") || said.contains("expected"),
            "{wrong}: {said}"
        );
    }
}
