//! Which lines of a file are put.

use examples::quickstart::{Count, NextLines, Put};

fn next(put: &Put, text: &str) -> (u32, u64, u64) {
    let next = NextLines::of(put, "a", text);
    (next.edition, next.from, next.lines(text))
}

#[test]
fn a_file_that_grew_is_continued_and_a_changed_one_restarted() {
    let mut put = Put::new();
    assert_eq!(next(&put, "x\ny\n"), (1, 0, 2));
    put.insert(("a".to_owned(), 1), Count::of("x\ny", 2));
    put.insert(("b".to_owned(), 7), Count::of("z", 1));
    assert_eq!(next(&put, "x\ny\n"), (1, 2, 0), "nothing is new");
    assert_eq!(next(&put, "x\ny\nz\n"), (1, 2, 1), "a line was added");
    assert_eq!(next(&put, "x\nz\n"), (2, 0, 2), "a line was changed");
    assert_eq!(next(&put, "x\n"), (2, 0, 1), "a line was cut");
    put.insert(("a".to_owned(), 2), Count::of("x", 1));
    assert_eq!(next(&put, "x\n"), (2, 1, 0));
    assert_eq!(next(&put, ""), (3, 0, 0));
}
