//! How the lines of a file are counted that come in order, too early, too late or twice.

use examples::quickstart::{Came, Count, Counted};

fn take(counted: &mut Counted, numbers: impl IntoIterator<Item = u64>) -> Vec<Came> {
    numbers
        .into_iter()
        .map(|number| counted.take(number, &format!("line {number}")))
        .collect()
}

#[test]
fn every_line_once_and_in_order_gives_the_plain_count() {
    let mut counted = Counted::default();
    assert!(
        take(&mut counted, 1..=5)
            .iter()
            .all(|came| *came == Came::InOrder)
    );
    assert_eq!(
        counted.count,
        Count::of("line 1\nline 2\nline 3\nline 4\nline 5", 5)
    );
}

#[test]
fn what_comes_twice_late_or_never_is_told_apart() {
    let mut counted = Counted::default();
    take(&mut counted, 1..=2);
    assert_eq!(
        take(&mut counted, [2, 6, 4, 4, 7]),
        [
            Came::Twice,
            Came::OutOfOrder,
            Came::OutOfOrder,
            Came::Twice,
            Came::InOrder
        ]
    );
    assert_eq!(
        (counted.count.lines, counted.last),
        (5, 7),
        "3 and 5 are lost"
    );
    assert_eq!(
        take(&mut counted, [5, 3, 3]),
        [Came::OutOfOrder, Came::OutOfOrder, Came::Twice]
    );
    assert_eq!(counted.count.lines, counted.last);
    assert_ne!(
        counted.count.crc,
        Count::of(
            &(1..=7).map(|n| format!("line {n}\n")).collect::<String>(),
            7
        )
        .crc
    );
}

#[test]
fn a_restart_goes_on_from_what_was_stored() {
    let mut counted = Counted::default();
    take(&mut counted, 1..=3);
    let mut again = Counted::stored(counted.count, counted.last);
    assert_eq!(take(&mut again, [3, 4]), [Came::Twice, Came::InOrder]);
}
