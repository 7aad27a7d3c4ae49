//! What the ledger of a run holds, and what it does not take for one.

use std::path::Path;

use examples::quickstart::{Count, Counted, Ledger, LedgerError};
use kcl_core::model::{Position, SequenceNumber};
use rusqlite::Connection;

#[test]
fn counts_and_positions_are_restored_per_application() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.sqlite");
    let at = Position::new(SequenceNumber::from_u128(u128::MAX), 0);
    {
        let ledger = Ledger::open(&path, Path::new("/notes")).unwrap();
        assert_eq!(
            ledger.begin_run(false).unwrap(),
            ("quickstart".to_owned(), false)
        );
        let counted = Counted::stored(
            Count {
                lines: 2,
                words: 9,
                crc: u32::MAX,
            },
            3,
        );
        ledger
            .commit("quickstart", &"shard".into(), &at, [("a", 1, &counted)])
            .unwrap();
        ledger.begin_put().unwrap();
    }
    let ledger = Ledger::open(&path, Path::new("/notes")).unwrap();
    assert!(ledger.is_torn().unwrap());
    ledger
        .end_put([(
            &("a".to_owned(), 1),
            &Count {
                lines: 3,
                words: 10,
                crc: 1,
            },
        )])
        .unwrap();
    assert!(!ledger.is_torn().unwrap());
    assert_eq!(ledger.put().unwrap()[&("a".to_owned(), 1)].lines, 3);
    assert_eq!(
        ledger.counted("quickstart").unwrap()[&("a".to_owned(), 1)].last,
        3
    );
    assert_eq!(ledger.positions("quickstart").unwrap()[&"shard".into()], at);
    assert_eq!(
        ledger.begin_run(false).unwrap(),
        ("quickstart".to_owned(), true),
        "it was killed"
    );
    ledger.end_run("quickstart").unwrap();
    assert_eq!(
        ledger.begin_run(false).unwrap(),
        ("quickstart".to_owned(), false)
    );
    for n in 1..3 {
        assert_eq!(
            ledger.begin_run(true).unwrap(),
            (format!("quickstart-replay-{n}"), false)
        );
    }
    assert!(ledger.counted("quickstart-replay-1").unwrap().is_empty());
}

#[test]
fn what_is_not_this_ledger_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let open = |name: &str, of: &str| Ledger::open(&folder.path().join(name), Path::new(of));
    drop(open("mine", "/a").unwrap());
    assert!(matches!(
        open("mine", "/b"),
        Err(LedgerError::OtherFolder { .. })
    ));
    let sqlite = |name: &str| Connection::open(folder.path().join(name)).unwrap();
    sqlite("mine")
        .pragma_update(None, "user_version", 2)
        .unwrap();
    assert!(matches!(
        open("mine", "/a"),
        Err(LedgerError::Version { found: 2, .. })
    ));
    sqlite("other")
        .execute_batch("CREATE TABLE theirs (x)")
        .unwrap();
    assert!(matches!(open("other", "/a"), Err(LedgerError::Foreign(_))));
    std::fs::write(
        folder.path().join("text"),
        "not a database at all, but long enough to be looked at".repeat(9),
    )
    .unwrap();
    assert!(matches!(open("text", "/a"), Err(LedgerError::Foreign(_))));
}
