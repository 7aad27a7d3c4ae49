use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::{fmt, fs, io};

/// The text files under a folder.
#[derive(Debug)]
pub struct Corpus {
    folder: PathBuf,
    /// The paths relative to the folder, sorted.
    files: Vec<String>,
    skipped: BTreeMap<&'static str, Vec<String>>,
}

/// The folder cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the folder {folder:?}")]
pub struct CorpusError {
    folder: PathBuf,
    source: io::Error,
}

/// Folders that do not contain sources.
const SKIPPED: [&str; 2] = ["target", ".git"];
/// The maximum length of a Kinesis partition key, which is the path, in characters.
const PATH_LENGTH: usize = 256;
/// A Kinesis record can have 1 MiB, some of which the line's number needs.
const LINE_LENGTH: usize = 1_000_000;

impl Corpus {
    /// Finds the files under a folder, except in `target`, in `.git` and in `state`. Links are not
    /// followed.
    ///
    /// # Errors
    /// If the folder itself cannot be read. Anything in it that cannot be read is skipped.
    pub fn find(folder: &Path, state: &Path) -> Result<Self, CorpusError> {
        let mut corpus = Self {
            folder: folder.to_owned(),
            files: Vec::new(),
            skipped: BTreeMap::new(),
        };
        let failed = |source| CorpusError {
            folder: folder.to_owned(),
            source,
        };
        let mut folders = Vec::new();
        corpus.list(fs::read_dir(folder).map_err(failed)?, state, &mut folders);
        while let Some(folder) = folders.pop() {
            match fs::read_dir(&folder) {
                Ok(entries) => corpus.list(entries, state, &mut folders),
                Err(error) => {
                    corpus.skip("cannot be read", format!("{} ({error})", folder.display()));
                }
            }
        }
        corpus.files.sort_unstable();
        Ok(corpus)
    }

    fn list(&mut self, entries: fs::ReadDir, state: &Path, folders: &mut Vec<PathBuf>) {
        for entry in entries.flatten() {
            let path = entry.path();
            match entry.file_type() {
                Ok(kind) if kind.is_dir() && !skips(&entry.file_name()) && path != state => {
                    folders.push(path);
                }
                Ok(kind) if kind.is_file() && !skips(&entry.file_name()) => self.file(&path),
                _ => {}
            }
        }
    }

    fn file(&mut self, path: &Path) {
        let relative = path.strip_prefix(&self.folder).unwrap_or(path);
        match relative.to_str() {
            Some(name) if name.chars().count() <= PATH_LENGTH => self.files.push(name.to_owned()),
            Some(name) => self.skip("path longer than 256 characters", name.to_owned()),
            None => self.skip("path is not UTF-8", relative.display().to_string()),
        }
    }

    fn skip(&mut self, why: &'static str, file: String) {
        self.skipped.entry(why).or_default().push(file);
    }

    /// Reads every file once, in order, and calls `each` with those that are text.
    pub fn read_all(&mut self, mut each: impl FnMut(&str, &str)) {
        for name in std::mem::take(&mut self.files) {
            match read_text(&self.folder.join(&name)) {
                Ok(text) => {
                    each(&name, &text);
                    self.files.push(name);
                }
                Err(why) => self.skip(why.reason(), name),
            }
        }
    }

    /// The text of a file, if it still exists and is text.
    #[must_use]
    pub fn read(&self, name: &str) -> Option<String> {
        read_text(&self.folder.join(name)).ok()
    }

    /// How many files there are.
    #[must_use]
    pub fn files(&self) -> u64 {
        self.files.len() as u64
    }

    /// What was skipped, and why; empty if nothing was.
    #[must_use]
    pub fn skipped(&self) -> Vec<String> {
        let told = |(why, files): (&&str, &Vec<String>)| match files.as_slice() {
            [] => None,
            [file] => Some(format!("1 file skipped, {why}: {file}")),
            [first, ..] => Some(format!(
                "{} files skipped, {why}: {first}, ...",
                files.len()
            )),
        };
        self.skipped.iter().filter_map(told).collect()
    }
}

fn skips(name: &OsStr) -> bool {
    SKIPPED.iter().any(|skipped| name == *skipped)
}

/// Why a file is skipped.
#[derive(Debug)]
enum Unfit {
    Unreadable,
    Binary,
    LongLine,
}

impl Unfit {
    const fn reason(&self) -> &'static str {
        match self {
            Self::Unreadable => "cannot be read",
            Self::Binary => "not text",
            Self::LongLine => "a line is longer than a record may be",
        }
    }
}

fn read_text(path: &Path) -> Result<String, Unfit> {
    let bytes = fs::read(path).map_err(|_| Unfit::Unreadable)?;
    if bytes.contains(&0) {
        return Err(Unfit::Binary);
    }
    let text = String::from_utf8(bytes).map_err(|_| Unfit::Binary)?;
    if text.len() > LINE_LENGTH && text.lines().any(|line| line.len() > LINE_LENGTH) {
        return Err(Unfit::LongLine);
    }
    Ok(text)
}

impl fmt::Display for Corpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.folder.display().fmt(f)
    }
}
