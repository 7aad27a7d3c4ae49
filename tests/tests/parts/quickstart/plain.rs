//! The plain pass over a text, which all others are compared with.

use examples::quickstart::Count;

#[test]
fn lines_words_and_order_are_what_counts() {
    let count = Count::of("one two\n\nthree\r\n", u64::MAX);
    assert_eq!((count.lines, count.words), (3, 3));
    // As Python has it: `zlib.crc32(b"one two\n\nthree\n")`.
    assert_eq!(count.crc, 0x2F4E_3B9D);
    assert_ne!(Count::of("a\nb", 2), Count::of("b\na", 2));
    assert_eq!(Count::of("a\nb", 1), Count::of("a", 9));
    assert_eq!(Count::of("", 9), Count::default());
}
