use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::BoxError;
use crate::runtime::blocking;

use super::dead_letter::{DeadLetter, Letter};

/// Dead letters as lines of JSON at the end of a file, each on the disk before it counts as taken.
///
/// ```json
/// {"stream":"orders","shard":"shardId-000000000000","sequence_number":"49590338271490256608559692538361571095921575989136588898",
///  "sub_sequence_number":0,"partition_key":"customer-7","explicit_hash_key":null,"arrived_at":"2025-01-31T12:00:00.000Z",
///  "why":"attempts_exhausted","attempts":5,"error":"no number: invalid digit found in string","data":"dGhyZWU="}
/// ```
///
/// on one line, in ASCII. `data` is the content of the record in Base64. One file is for one
/// process; its handles may be shared by several workers in it. The file is opened for each write:
/// it may be moved or removed at any time, and is made again. Letters that come together wait for
/// the disk together.
#[derive(Clone, Debug)]
pub struct JsonLines(Arc<LetterFile>);

#[derive(Debug)]
struct LetterFile {
    /// Absolute, as the process may change its folder.
    path: PathBuf,
    /// What waits for the disk. The lock is never held while something is written.
    queue: Mutex<LetterQueue>,
}

#[derive(Debug, Default)]
struct LetterQueue {
    /// The letters that no write has taken yet.
    waiting: Vec<WaitingLetter>,
    /// Something writes what waits.
    is_written: bool,
}

#[derive(Debug)]
struct WaitingLetter {
    /// One line of JSON, with its end.
    line: String,
    /// Told when the line is on the disk, or why it is not.
    written: oneshot::Sender<Result<(), Arc<io::Error>>>,
}

/// Writes what waits until nothing does. Where it is dropped before, what waits gets no answer.
struct LetterWriter(Option<Arc<LetterFile>>);

impl LetterWriter {
    /// Blocks for as long as there are letters, so it runs on a thread for blocking work.
    fn write(mut self) {
        while let Some((file, letters)) = self.next() {
            let lines: String = letters.iter().map(|letter| &*letter.line).collect();
            let written = file.write(&lines).map_err(Arc::new);
            for letter in letters {
                // A letter that nobody waits for any more comes again.
                let _ = letter.written.send(written.clone());
            }
        }
    }

    /// What waits now. With nothing the writer is gone, and the next letter has one of its own.
    fn next(&mut self) -> Option<(Arc<LetterFile>, Vec<WaitingLetter>)> {
        let file = self.0.clone()?;
        let letters = {
            let mut queue = file.queue();
            queue.is_written = !queue.waiting.is_empty();
            std::mem::take(&mut queue.waiting)
        };
        if letters.is_empty() {
            self.0 = None;
            return None;
        }
        Some((file, letters))
    }
}

impl Drop for LetterWriter {
    fn drop(&mut self) {
        if let Some(file) = &self.0 {
            // The runtime ends, and another one may share the file.
            *file.queue() = LetterQueue::default();
        }
    }
}

impl LetterFile {
    /// Adds lines to the file of that name as it is now, and waits for the disk.
    fn write(&self, lines: &str) -> io::Result<()> {
        let mut file = self.open()?;
        // A process may have died within a line, or the disk may have been full: what comes next
        // begins a line of its own, or neither could be read.
        let is_torn = file.seek(SeekFrom::End(0))? > 0 && {
            let mut last = [0];
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
            last != *b"\n"
        };
        if is_torn {
            file.write_all(b"\n")?;
        }
        file.write_all(lines.as_bytes())?;
        file.sync_data()
    }

    /// The file of that name, made if it is not there. An error names it.
    fn open(&self) -> io::Result<File> {
        self.open_or_make().map_err(|error| {
            let text = format!(
                "cannot open the file of dead letters {}: {error}",
                self.path.display()
            );
            io::Error::new(error.kind(), text)
        })
    }

    fn open_or_make(&self) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).append(true);
        match options.open(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            opened => return opened,
        }
        let file = options.create(true).open(&self.path)?;
        // Or a crash of the machine might leave no file of that name.
        #[cfg(unix)]
        if let Some(folder) = self.path.parent() {
            File::open(folder)?.sync_all()?;
        }
        Ok(file)
    }

    fn queue(&self) -> MutexGuard<'_, LetterQueue> {
        // Every change is whole.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl JsonLines {
    /// The file to write at its end. It is made if it is not there. Blocks for as long as the disk
    /// takes.
    ///
    /// A line that a process did not finish, because it died or the disk was full, stays as it is:
    /// a reader must skip empty lines and lines that are not JSON. Its letter was not taken, and
    /// comes again.
    ///
    /// # Errors
    /// It cannot be opened for reading and writing.
    pub fn append(path: impl AsRef<Path>) -> io::Result<Self> {
        // The process may go to another folder later.
        let file = LetterFile {
            path: std::path::absolute(path)?,
            queue: Mutex::default(),
        };
        file.open()?;
        Ok(Self(Arc::new(file)))
    }
}

impl DeadLetter for JsonLines {
    /// Cancel safe: a letter that was begun is written whole.
    async fn deliver(&self, letter: Letter<'_>) -> Result<(), BoxError> {
        let (written, mut answer) = oneshot::channel();
        let letter = WaitingLetter {
            line: letter.to_json() + "\n",
            written,
        };
        let writer = {
            let mut queue = self.0.queue();
            queue.waiting.push(letter);
            (!std::mem::replace(&mut queue.is_written, true))
                .then(|| LetterWriter(Some(Arc::clone(&self.0))))
        };
        let answer = match writer {
            None => answer.await,
            Some(writer) => tokio::select! {
                biased;
                // It goes on, also when nobody waits for it: letters may wait that are not ours.
                ended = blocking(move || writer.write()) => {
                    ended?;
                    answer.await
                }
                answer = &mut answer => answer,
            },
        };
        Ok(answer
            .map_err(|_| "the runtime of the worker ended before the letter was written")??)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handler::letter_scene::{letter, record, shard};
    use crate::model::Record;

    fn path(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("{name}-{}.jsonl", std::process::id()))
    }

    #[test]
    fn a_line_that_was_not_finished_spoils_no_other() {
        let path = path("torn-letters");
        for (before, after) in [
            ("", "1\n2\n"),
            ("0\n", "0\n1\n2\n"),
            ("{\"hal", "{\"hal\n1\n2\n"),
        ] {
            std::fs::write(&path, before).unwrap();
            let lines = JsonLines::append(&path).unwrap();
            for line in ["1\n", "2\n"] {
                lines.0.write(line).unwrap();
            }
            assert_eq!(std::fs::read_to_string(&path).unwrap(), after);
        }
        std::fs::remove_file(&path).unwrap();
    }

    /// As `logrotate` does it, or somebody who has dealt with the letters.
    #[tokio::test]
    async fn a_file_that_was_removed_or_moved_is_made_again() {
        let (path, moved) = (path("removed-letters"), path("moved-letters"));
        let shard = shard();
        let lines = JsonLines::append(&path).unwrap();
        let deliver = async |number: u128| {
            let record = record(number, "k", b"data");
            lines.deliver(letter(&shard, &record, "bad")).await.unwrap();
        };
        let numbers = |path: &Path| {
            let text = std::fs::read_to_string(path).unwrap();
            let number = |line| {
                serde_json::from_str::<serde_json::Value>(line).unwrap()["sequence_number"].clone()
            };
            text.lines().map(number).collect::<Vec<_>>()
        };
        deliver(1).await;
        std::fs::remove_file(&path).unwrap();
        deliver(2).await;
        assert_eq!(numbers(&path), ["2"]);
        std::fs::rename(&path, &moved).unwrap();
        deliver(3).await;
        deliver(4).await;
        assert_eq!(
            (numbers(&moved), numbers(&path)),
            (vec!["2".into()], vec!["3".into(), "4".into()])
        );
        for path in [path, moved] {
            std::fs::remove_file(path).unwrap();
        }
    }

    /// One job writes them all, however many there are: it does not fill the threads that block.
    #[tokio::test]
    async fn letters_that_come_together_are_written_together() {
        let (path, shard) = (path("many-letters"), shard());
        let lines = JsonLines::append(&path).unwrap();
        let records: Vec<Record> = (0..500)
            .map(|number| record(number, "k", b"data"))
            .collect();
        let all = records
            .iter()
            .map(|record| lines.deliver(letter(&shard, record, "bad")));
        assert!(
            futures_util::future::join_all(all)
                .await
                .into_iter()
                .all(|delivered| delivered.is_ok())
        );
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 500);
        let queue = lines.0.queue();
        assert!(!queue.is_written && queue.waiting.is_empty());
        std::fs::remove_file(&path).unwrap();
    }

    #[tokio::test]
    async fn a_letter_that_cannot_be_written_is_refused() {
        let (folder, shard, record) = (path("no-folder"), shard(), record(1, "k", b"data"));
        std::fs::create_dir(&folder).unwrap();
        let lines = JsonLines::append(folder.join("letters")).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(lines.deliver(letter(&shard, &record, "bad")).await.is_err());
        std::fs::create_dir(&folder).unwrap();
        assert!(lines.deliver(letter(&shard, &record, "bad")).await.is_ok());
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
