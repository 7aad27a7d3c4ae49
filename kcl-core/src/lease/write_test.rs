use super::*;
use crate::model::{LeaseKey, Position, SequenceNumber, Timestamp};

fn at(sequence: u128) -> Checkpoint {
    Position::new(SequenceNumber::from_u128(sequence), 3).into()
}

/// Held by `a`, which stands at 10.
fn held() -> Lease {
    Lease {
        counter: 7,
        ..Lease::new(LeaseKey::single("s"), at(10)).owned_by("a".into(), "t".into())
    }
}

/// The same, asked for by `b`.
fn asked_for() -> Lease {
    Lease {
        owner: Some("b".into()),
        checkpoint_owner: Some("a".into()),
        ..held()
    }
}

/// Passed on to `b`, which has not claimed it.
fn passed_on() -> Lease {
    Lease {
        owner: Some("b".into()),
        token: None,
        ..held()
    }
}

/// The attributes, a change of which alone makes the write refuse the row.
fn guarded(expect: &Expect, row: &Lease) -> Vec<&'static str> {
    let variants = [
        (
            "counter",
            vec![
                Lease {
                    counter: row.counter + 1,
                    ..row.clone()
                },
                Lease {
                    counter: row.counter - 1,
                    ..row.clone()
                },
            ],
        ),
        (
            "token",
            vec![
                Lease {
                    token: Some("other".into()),
                    ..row.clone()
                },
                Lease {
                    token: None,
                    ..row.clone()
                },
            ],
        ),
        (
            "owner",
            vec![
                Lease {
                    owner: Some("other".into()),
                    ..row.clone()
                },
                Lease {
                    owner: None,
                    ..row.clone()
                },
            ],
        ),
        (
            "checkpoint owner",
            vec![
                Lease {
                    checkpoint_owner: Some("other".into()),
                    ..row.clone()
                },
                Lease {
                    checkpoint_owner: None,
                    ..row.clone()
                },
            ],
        ),
        (
            "checkpoint",
            vec![
                Lease {
                    checkpoint: at(11),
                    ..row.clone()
                },
                Lease {
                    checkpoint: Checkpoint::At(SequenceNumber::from_u128(10).into()),
                    ..row.clone()
                },
                Lease {
                    checkpoint: Checkpoint::TrimHorizon,
                    ..row.clone()
                },
            ],
        ),
        (
            "end",
            vec![Lease {
                checkpoint: Checkpoint::ShardEnd,
                ..row.clone()
            }],
        ),
    ];
    assert!(expect.holds(row), "{expect:?} does not hold for {row:?}");
    let refused = |variants: &[Lease]| {
        let mut others = variants.iter().filter(|variant| *variant != row).peekable();
        others.peek().is_some() && others.all(|variant| !expect.holds(variant))
    };
    variants
        .iter()
        .filter(|(_, variants)| refused(variants))
        .map(|(name, _)| *name)
        .collect()
}

#[test]
fn each_write_is_guarded_by_what_the_protocol_says() {
    let me = || WorkerId::from("a");
    let asker = || WorkerId::from("b");
    let token = || Token::from("new");
    let pending = || Pending {
        at: at(12),
        state: None,
    };
    let children = || vec![ShardId::from("c")];
    let range = HashKeyRange::WHOLE;
    let tenancy = vec!["counter", "token"];
    let progress = vec!["counter", "token", "checkpoint", "end"];
    let asked = vec!["counter", "token", "owner", "checkpoint owner"];
    let cases = [
        (
            "take",
            held(),
            Write::take(&held(), asker(), token()),
            vec!["counter"],
        ),
        (
            "claim",
            passed_on(),
            Write::claim(&passed_on(), asker(), token()),
            vec!["counter", "owner", "checkpoint owner"],
        ),
        ("renew", held(), Write::renew(&held()), tenancy.clone()),
        (
            "checkpoint",
            held(),
            Write::checkpoint(&held(), at(11)),
            progress.clone(),
        ),
        (
            "prepare",
            held(),
            Write::prepare(&held(), pending()),
            progress.clone(),
        ),
        (
            "request",
            held(),
            Write::request(&held(), asker(), me()),
            vec!["token", "owner", "checkpoint owner", "end"],
        ),
        (
            "withdraw",
            asked_for(),
            Write::withdraw(&asked_for(), asker(), me()),
            vec!["token", "owner", "checkpoint owner"],
        ),
        (
            "pass on",
            asked_for(),
            Write::pass_on(&asked_for(), me(), asker(), Some(at(11))),
            vec![
                "counter",
                "token",
                "owner",
                "checkpoint owner",
                "checkpoint",
                "end",
            ],
        ),
        (
            "refuse",
            asked_for(),
            Write::refuse(&asked_for(), me(), asker()),
            asked,
        ),
        (
            "release",
            held(),
            Write::release(&held(), Some(at(11))),
            progress.clone(),
        ),
        ("end", held(), Write::end(&held(), children()), progress),
        (
            "children",
            held(),
            Write::children(&held(), children()),
            tenancy.clone(),
        ),
        (
            "facts",
            held(),
            Write::facts(&held(), Facts::default()),
            tenancy,
        ),
        ("hash range", held(), Write::hash_range(range), vec![]),
    ];
    for (name, row, write, guards) in cases {
        assert_eq!(guarded(&write.expect, &row), guards, "{name}");
    }
    let ended = Lease {
        checkpoint: Checkpoint::ShardEnd,
        owner: None,
        token: None,
        ..held()
    };
    assert_eq!(
        guarded(&Write::delete(&ended), &ended),
        ["counter", "checkpoint"],
        "delete"
    );
}

/// A row that somebody without tokens holds can be asked for and only as it was seen.
#[test]
fn a_row_held_without_a_token_can_be_asked_for_as_it_was_seen() {
    let theirs = Lease {
        token: None,
        ..held()
    };
    let write = Write::request(&theirs, "b".into(), "a".into());
    assert!(write.expect.holds(&theirs));
    assert!(
        !write.expect.holds(&held()),
        "one of ours took it in between"
    );
}

#[test]
fn the_first_checkpoint_passes_the_first_time_by_every_write() {
    let begun = Facts {
        start_at: Some(Timestamp::from_millis(5)),
        ..Facts::default()
    };
    let passed = Facts {
        began_at: Some(Timestamp::from_millis(5)),
        ..Facts::default()
    };
    let at_latest = |row: Lease| Lease {
        checkpoint: Checkpoint::Latest,
        facts: begun.clone(),
        ..row
    };
    let cases = [
        (
            "checkpoint",
            held(),
            Write::checkpoint(&at_latest(held()), at(11)),
            &passed,
        ),
        (
            "pass on",
            asked_for(),
            Write::pass_on(
                &at_latest(asked_for()),
                "a".into(),
                "b".into(),
                Some(at(11)),
            ),
            &passed,
        ),
        (
            "release",
            held(),
            Write::release(&at_latest(held()), Some(at(11))),
            &passed,
        ),
        (
            "end",
            held(),
            Write::end(&at_latest(held()), vec![]),
            &passed,
        ),
        (
            "pass on without one",
            asked_for(),
            Write::pass_on(&at_latest(asked_for()), "a".into(), "b".into(), None),
            &begun,
        ),
        (
            "release without one",
            held(),
            Write::release(&at_latest(held()), None),
            &begun,
        ),
        ("renew", held(), Write::renew(&at_latest(held())), &begun),
    ];
    for (name, row, write, expected) in cases {
        let mut row = at_latest(row);
        assert!(write.expect.holds(&row), "{name}");
        write.change.edits().apply(&mut row);
        assert_eq!(row.facts, *expected, "{name}");
    }
}
