use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;

/// Reads the lines of a file as another process appends them.
#[derive(Debug)]
pub struct Tail {
    path: PathBuf,
    file: Option<File>,
    at: u64,
    /// What follows the last line feed so far.
    rest: Vec<u8>,
}

impl Tail {
    /// The lines of this file, which need not exist yet.
    #[must_use]
    pub const fn new(path: PathBuf) -> Self {
        Self {
            path,
            file: None,
            at: 0,
            rest: Vec::new(),
        }
    }

    /// Gives the file back to the system until lines are read again.
    pub fn close(&mut self) {
        self.file = None;
    }

    /// The whole lines that came since the last call. A last line without a line feed waits for it.
    ///
    /// # Errors
    /// The file is there and cannot be read.
    pub fn lines(&mut self) -> io::Result<Vec<String>> {
        if self.file.is_none() {
            match File::open(&self.path) {
                Ok(file) => self.file = Some(file),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
                Err(error) => return Err(error),
            }
        }
        let Some(file) = &mut self.file else {
            return Ok(Vec::new());
        };
        file.seek(SeekFrom::Start(self.at))?;
        self.at += file.read_to_end(&mut self.rest)? as u64;
        let Some(feed) = self.rest.iter().rposition(|byte| *byte == b'\n') else {
            return Ok(Vec::new());
        };
        let rest = self.rest.split_off(feed + 1);
        let whole = std::mem::replace(&mut self.rest, rest);
        Ok(String::from_utf8_lossy(&whole)
            .lines()
            .map(|line| line.trim().to_owned())
            .filter(|line| !line.is_empty())
            .collect())
    }
}
