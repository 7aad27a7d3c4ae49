//! The dead letters of an application, from the files that its workers write: how many there are, and the
//! newest of them. The lease table knows nothing of them.
//!
//! ```text
//!   files ---> LetterWatcher, every two seconds: what has come ---> LettersDocument ---> /api/dead-letters
//! ```
//!
//! What is in the records is not kept: not the data, and not the keys, which may name people.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, ErrorKind, Seek as _, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kcl_core::{Clock as _, SystemClock};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// The time from one reading to the next.
const EVERY: Duration = Duration::from_secs(2);
/// So many of the newest letters of a file are kept.
const NEWEST: usize = 20;
/// So many characters of an error are kept.
const ERROR: usize = 300;

/// A dead letter without the content of its record, as `kcl_core::handler::JsonLines` writes it.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
struct DeadLetter {
    stream: String,
    shard: String,
    sequence_number: String,
    sub_sequence_number: u64,
    /// When the record arrived in the stream.
    arrived_at: Option<String>,
    why: String,
    attempts: u64,
    error: Option<String>,
}

/// What is shown of the letters.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct LettersDocument {
    /// How many there are in all files.
    letters: u64,
    files: Vec<FileDocument>,
    /// The newest of each file, newest first.
    newest: Vec<DeadLetter>,
}

#[derive(Clone, Debug, Serialize)]
struct FileDocument {
    file: String,
    letters: u64,
    /// Why it cannot be read.
    error: Option<String>,
}

/// Reads the files again and again.
pub(super) struct LetterWatcher {
    files: Vec<LetterFile>,
    tell: watch::Sender<Arc<LettersDocument>>,
}

/// A file, and how far it has been read. It only grows, until it is replaced by a new one.
#[derive(Debug)]
struct LetterFile {
    path: PathBuf,
    /// The byte behind the last whole line.
    read: u64,
    letters: u64,
    newest: VecDeque<DeadLetter>,
    error: Option<String>,
}

impl LetterWatcher {
    /// A watcher of these files, and where the last reading is.
    pub(super) fn new(paths: &[PathBuf]) -> (watch::Receiver<Arc<LettersDocument>>, Self) {
        let (tell, document) = watch::channel(Arc::default());
        let files = paths.iter().cloned().map(LetterFile::new).collect();
        (document, Self { files, tell })
    }

    /// Reads for ever.
    pub(super) async fn run(mut self) {
        // A disk may be slow, and a first reading long: it holds up nothing else.
        let mut reading = JoinSet::new();
        loop {
            let mut files = std::mem::take(&mut self.files);
            reading.spawn_blocking(move || {
                files.iter_mut().for_each(LetterFile::read_on);
                files
            });
            let Some(Ok(files)) = reading.join_next().await else {
                return;
            };
            self.files = files;
            self.tell.send_replace(Arc::new(self.document()));
            SystemClock.sleep_until(SystemClock.now() + EVERY).await;
        }
    }

    fn document(&self) -> LettersDocument {
        let of = |file: &LetterFile| FileDocument {
            file: file.path.display().to_string(),
            letters: file.letters,
            error: file.error.clone(),
        };
        let newest = self.files.iter().flat_map(|file| file.newest.iter().rev());
        LettersDocument {
            letters: self.files.iter().map(|file| file.letters).sum(),
            files: self.files.iter().map(of).collect(),
            newest: newest.cloned().collect(),
        }
    }
}

impl LetterFile {
    fn new(path: PathBuf) -> Self {
        Self {
            path,
            read: 0,
            letters: 0,
            newest: VecDeque::new(),
            error: None,
        }
    }

    /// Takes in the lines that have come since the last time.
    fn read_on(&mut self) {
        self.error = match self.read_lines() {
            Ok(()) => None,
            // It is made with its first letter.
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Some("there is no such file yet".to_owned())
            }
            Err(error) => Some(error.to_string()),
        };
    }

    fn read_lines(&mut self) -> io::Result<()> {
        let mut file = File::open(&self.path)?;
        if file.metadata()?.len() < self.read {
            // Somebody has moved the letters away, and begun anew.
            (self.read, self.letters) = (0, 0);
            self.newest.clear();
        }
        file.seek(SeekFrom::Start(self.read))?;
        let mut lines = BufReader::new(file);
        let mut line = Vec::new();
        loop {
            line.clear();
            let bytes = lines.read_until(b'\n', &mut line)?;
            if !line.ends_with(b"\n") {
                // The last one is on its way.
                return Ok(());
            }
            self.read += bytes as u64;
            // One that is cut off is no letter: its process died, and it was written again.
            if let Ok(letter) = serde_json::from_slice::<DeadLetter>(&line) {
                self.take_in(letter);
            }
        }
    }

    fn take_in(&mut self, mut letter: DeadLetter) {
        if let Some(error) = &mut letter.error
            && let Some((end, _)) = error.char_indices().nth(ERROR)
        {
            error.truncate(end);
            error.push('…');
        }
        self.letters += 1;
        self.newest.push_back(letter);
        if self.newest.len() > NEWEST {
            self.newest.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write as _;

    use super::*;

    fn line(number: u32) -> String {
        format!(
            "{{\"stream\":\"orders\",\"shard\":\"shardId-0\",\"sequence_number\":\"{number}\",\
             \"sub_sequence_number\":0,\"partition_key\":\"secret\",\"explicit_hash_key\":null,\
             \"arrived_at\":null,\"why\":\"permanent\",\"attempts\":1,\"error\":\"{}\",\
             \"data\":\"dGhyZWU=\"}}\n",
            "x".repeat(ERROR + 7)
        )
    }

    fn numbers(file: &LetterFile) -> Vec<&str> {
        let letters = file.newest.iter();
        letters.map(|it| it.sequence_number.as_str()).collect()
    }

    #[test]
    fn a_file_is_read_on_where_it_was_left_and_anew_when_it_is_new() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dead.jsonl");
        let mut file = LetterFile::new(path.clone());
        file.read_on();
        assert_eq!(file.error.as_deref(), Some("there is no such file yet"));

        let (first, second) = (line(1), line(2));
        let (head, tail) = second.split_at(30);
        fs::write(&path, format!("{first}{head}")).unwrap();
        file.read_on();
        assert_eq!((numbers(&file), &file.error), (vec!["1"], &None));
        let error = file.newest[0].error.as_deref().unwrap();
        assert_eq!(error.chars().count(), ERROR + 1);
        assert!(!format!("{file:?}").contains("secret"), "{file:?}");

        let mut more = fs::OpenOptions::new().append(true).open(&path).unwrap();
        more.write_all(tail.as_bytes()).unwrap();
        // A process that died has left half a line, behind which the next one goes on.
        more.write_all(format!("{head}\n").as_bytes()).unwrap();
        for number in 3..=30 {
            more.write_all(line(number).as_bytes()).unwrap();
        }
        file.read_on();
        assert_eq!((file.letters, file.newest.len()), (30, NEWEST));
        assert_eq!(numbers(&file)[NEWEST - 1], "30");

        fs::write(&path, line(31)).unwrap();
        file.read_on();
        assert_eq!((file.letters, numbers(&file)), (1, vec!["31"]));
    }
}
