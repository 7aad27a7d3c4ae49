//! Which files of a folder are read.

use std::fs;

use examples::quickstart::Corpus;

/// The longest line that is put: a record of Kinesis can have 1 MiB, some of which its number needs.
const LINE_LENGTH: usize = 1_000_000;

#[test]
fn text_files_are_found_and_the_rest_is_skipped_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    for sub in ["src/deep", "target/debug", ".git", "state"] {
        fs::create_dir_all(root.join(sub)).unwrap();
    }
    let put = |name: &str, content: &[u8]| fs::write(root.join(name), content).unwrap();
    put("src/deep/a.rs", b"x\n");
    put("b.txt", b"");
    put("target/debug/c", b"x");
    put(".git/d", b"x");
    put("state/e", b"x");
    put("zero", b"a\0b");
    put("latin", b"caf\xe9");
    put("long", &vec![b'x'; LINE_LENGTH + 1]);
    let mut corpus = Corpus::find(root, &root.join("state")).unwrap();
    let mut read = Vec::new();
    corpus.read_all(|name, text| read.push((name.to_owned(), text.len())));
    assert_eq!(
        read,
        [("b.txt".to_owned(), 0), ("src/deep/a.rs".to_owned(), 2)]
    );
    let skipped = corpus.skipped();
    assert_eq!(skipped.len(), 2, "{skipped:?}");
    assert!(
        skipped
            .iter()
            .any(|line| line.starts_with("2 files skipped, not text: latin")),
        "{skipped:?}"
    );
    assert!(Corpus::find(&root.join("none"), root).is_err());
}
