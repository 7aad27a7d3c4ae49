//! A line as it is in a record.

use examples::quickstart::Line;

#[test]
fn a_line_survives_its_record_and_what_is_none_is_refused() {
    for text in ["", " ", "a b  c ", "fn main() {", "é"] {
        let line = Line {
            edition: 3,
            number: 17,
            text,
        };
        assert_eq!(Line::parse(line.to_string().as_bytes()), Some(line));
    }
    for foreign in ["", "hello", "hello world", "1 x", "1:x y", "-1:2 x"] {
        assert_eq!(Line::parse(foreign.as_bytes()), None, "{foreign}");
    }
    assert_eq!(Line::parse(&[b'1', b':', b'1', b' ', 0xff]), None);
}
