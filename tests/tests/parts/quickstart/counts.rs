//! What a run counts of the records that it is given.

use std::path::Path;

use examples::quickstart::{Counts, Ledger};
use kcl_core::model::{RawRecord, Record, SequenceNumber};

fn record(sequence: u128, file: &str, data: &str) -> Record {
    RawRecord::new(SequenceNumber::from_u128(sequence), file, data.to_owned()).into()
}

fn load(path: &Path) -> Counts {
    let ledger = Ledger::open(path, Path::new("/notes")).unwrap();
    let (application, killed) = ledger.begin_run(false).unwrap();
    Counts::load(&ledger, &application, killed).unwrap()
}

#[test]
fn records_repeated_after_a_kill_are_not_counted_twice() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger");
    let batch: Vec<_> = (1..=5)
        .map(|n| record(n, "a", &format!("1:{n} two words")))
        .collect();
    let shard = "shard".into();
    load(&path).take(&shard, &batch[..3], None).unwrap();
    let counts = load(&path);
    counts.take(&shard, &batch, None).unwrap();
    let tally = counts.tally();
    assert_eq!((tally.lines, tally.words, tally.new), (5, 10, 2));
    assert_eq!(
        (tally.again, tally.duplicates, tally.out_of_order),
        (3, 0, 0)
    );
    counts.take(&shard, &batch[4..], None).unwrap();
    assert_eq!(counts.tally().duplicates, 1, "nobody was killed since");
}

#[test]
fn lines_put_twice_and_foreign_lines_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let counts = load(&folder.path().join("ledger"));
    let records = [
        record(1, "a", "1:1 x"),
        record(2, "a", "1:1 x"),
        record(3, "a", "hello"),
        record(4, "a", "2:1 y z"),
    ];
    counts.take(&"shard".into(), &records, Some(7)).unwrap();
    let tally = counts.tally();
    assert_eq!(
        (tally.lines, tally.words, tally.duplicates, tally.foreign),
        (2, 3, 1, 1)
    );
    assert_eq!(counts.counted(&("a".to_owned(), 2)).count.words, 2);
}
