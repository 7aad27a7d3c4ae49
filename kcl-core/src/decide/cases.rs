//! Runs text cases: decisions that a person who knows Kinesis but no Rust can read and correct.
//!
//! ```text
//! # A line that begins with a hash is a comment, anywhere.
//!
//! name of the case, as a sentence
//! given
//! given
//! ----
//! expected
//! ```
//!
//! A blank line ends a case. `BLESS=1 cargo test` writes the current decisions into the file as the
//! new expectations; review the diff like code.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

/// Divides what is given from what is expected.
const RULE: &str = "----";

/// Runs every case of `testdata/FILE` and compares the results. `decide` gets the given lines and
/// returns what should equal the expected lines. All cases run before it fails, so that one changed
/// rule shows everything that it changes. Comments and the order of cases survive `BLESS=1`.
pub(crate) fn run(file: &str, decide: impl Fn(&[&str]) -> String) {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "src/decide/testdata", file]
        .iter()
        .collect();
    let text =
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut names = BTreeSet::new();
    let mut blessed = Vec::new();
    let mut failures = Vec::new();
    for block in blocks(&text) {
        let (comments, lines): (Vec<&str>, Vec<&str>) = block
            .iter()
            .copied()
            .partition(|line| line.starts_with('#'));
        let Some((name, rest)) = lines.split_first() else {
            blessed.push(comments.join("\n"));
            continue;
        };
        assert!(names.insert(*name), "{file}: two cases are named `{name}`");
        let rule = rest.iter().position(|line| *line == RULE);
        let rule = rule.unwrap_or_else(|| panic!("{file}: the case `{name}` has no `{RULE}`"));
        let (given, expected) = (&rest[..rule], rest[rule + 1..].join("\n"));
        let decided = decide(given).trim_end().to_owned();
        if decided != expected {
            failures.push(format!(
                "# {name}\n--- expected\n{expected}\n--- decided\n{decided}\n"
            ));
        }
        let given = block
            .iter()
            .take_while(|line| **line != RULE)
            .copied()
            .collect::<Vec<_>>()
            .join("\n");
        blessed.push(format!("{given}\n{RULE}\n{decided}").trim_end().to_owned());
    }
    assert!(!names.is_empty(), "{file} holds no case");
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, blessed.join("\n\n") + "\n")
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        return;
    }
    assert!(
        failures.is_empty(),
        "{file}: {} of {} cases differ\n\n{}",
        failures.len(),
        names.len(),
        failures.join("\n")
    );
}

/// The runs of lines between blank ones. Trailing spaces do not count, as editors remove them.
fn blocks(text: &str) -> Vec<Vec<&str>> {
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines
        .split(|line| line.is_empty())
        .filter(|block| !block.is_empty())
        .map(<[&str]>::to_vec)
        .collect()
}

/// `key=value` as its two parts; the value may be missing.
pub(crate) fn setting(word: &str) -> (&str, &str) {
    word.split_once('=').unwrap_or((word, ""))
}
