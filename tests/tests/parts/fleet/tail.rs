//! The lines of a file that grows.

use std::fs::File;
use std::io::Write;

use tests::fleet::Tail;

#[test]
fn lines_come_once_and_whole_as_they_are_appended() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lines");
    let mut tail = Tail::new(path.clone());
    assert!(tail.lines().unwrap().is_empty(), "there is no file yet");
    let mut file = File::create(&path).unwrap();
    file.write_all(b"one\ntw").unwrap();
    assert_eq!(tail.lines().unwrap(), ["one"]);
    assert!(tail.lines().unwrap().is_empty());
    file.write_all(b"o\nthree   \n").unwrap();
    assert_eq!(tail.lines().unwrap(), ["two", "three"]);
}
