use std::path::{Path, PathBuf};
use std::{fs, io};

use clap::Parser;

/// Counts the words of every text file under a folder, through a stream, and proves that no line
/// was lost or counted twice.
///
/// It starts an embedded Kinesis-compatible stream with 4 shards, puts every line of every text
/// file as a record (with the path of the file as partition key), splits a shard and merges two
/// along the way, and runs a worker that counts words from the beginning of the stream. At the end
/// it compares the line counts, the word counts and the order of each file's lines with a plain
/// pass over the files.
///
/// The stream, the leases and the counts are stored in a state folder. A second run resumes: lines
/// that are already in the stream are not put again, and lines that were processed are not
/// processed again. Lines added to a file since then are put; a file that has changed in any other
/// way is put again as a whole. The stream retains lines for a week. Ctrl-C or SIGTERM shuts the
/// program down gracefully, and even after kill -9 the next run resumes.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "quickstart",
    after_help = "\
Examples:
  quickstart                 count the words of this project's sources
  quickstart ~/notes         count those of another folder, which gets a state folder of its own
  quickstart --replay        read everything again that was ever put, as a new application
  quickstart --fan-out       have the records pushed, by enhanced fan-out

Exit codes:
  0    everything that was put was processed once and in order
  1    it was not, or something failed; standard error says what
  2    invalid options
  130, 143  stopped by Ctrl-C or SIGTERM; the next run resumes

To start over, delete the state folder, whose path the program prints."
)]
pub struct QuickstartOptions {
    /// The folder with the text files; target, .git and files that are not UTF-8 are skipped.
    /// Default: the sources of this project.
    pub folder: Option<PathBuf>,
    /// Reads the whole stream again from its beginning, under a new application name.
    #[arg(long)]
    pub replay: bool,
    /// Has the records pushed by enhanced fan-out instead of polling for them. Each run can choose
    /// again, and resumes in either case.
    #[arg(long)]
    pub fan_out: bool,
    /// Where the stream, the leases and the counts are stored. Default: a folder in
    /// target/quickstart, one for each FOLDER.
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
}

/// Where a run finds its files.
#[derive(Clone, Debug)]
pub struct State {
    /// The folder with the text files.
    pub folder: PathBuf,
    /// The folder with the stream, the leases and the counts.
    pub path: PathBuf,
}

/// The folders of a run are invalid.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The folder with the text files does not exist.
    #[error("the folder with the text files, {0:?}, does not exist")]
    NoFolder(PathBuf, #[source] io::Error),
    /// The path for the text files is not a folder.
    #[error("{0:?} is not a folder: expected the folder with the text files")]
    NotFolder(PathBuf),
    /// The state folder cannot be created.
    #[error("cannot create the state folder {0:?}")]
    Make(PathBuf, #[source] io::Error),
    /// The state folder contains other files.
    #[error(
        "{0:?} is neither empty nor a state folder of the quickstart: pass an empty or new folder \
         with --state"
    )]
    Foreign(PathBuf),
}

/// The sources that this program was built from.
const WORKSPACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

impl State {
    /// Finds the folder with the text files, and finds or creates the state folder.
    ///
    /// # Errors
    /// If there is no such folder, or the state folder is not one of this program.
    pub fn find(options: &QuickstartOptions) -> Result<Self, StateError> {
        let folder = options
            .folder
            .as_deref()
            .unwrap_or_else(|| Path::new(WORKSPACE));
        let folder = folder
            .canonicalize()
            .map_err(|error| StateError::NoFolder(folder.to_owned(), error))?;
        if !folder.is_dir() {
            return Err(StateError::NotFolder(folder));
        }
        let path = options
            .state
            .clone()
            .unwrap_or_else(|| Self::default_path(&folder));
        let made = fs::create_dir_all(&path).and_then(|()| path.canonicalize());
        let path = made.map_err(|error| StateError::Make(path, error))?;
        let state = Self { folder, path };
        let listed = fs::read_dir(&state.path)
            .map_err(|error| StateError::Make(state.path.clone(), error))?;
        if listed.flatten().next().is_some() && !state.ledger().exists() && !state.stream().exists()
        {
            return Err(StateError::Foreign(state.path));
        }
        Ok(state)
    }

    /// The state folder of these text files if none is given: another one for each folder, so that
    /// what was put of one is never taken for what was put of another.
    #[must_use]
    pub fn default_path(folder: &Path) -> PathBuf {
        Path::new(WORKSPACE)
            .join("target/quickstart")
            .join(slug(folder))
    }

    /// The file that stores what was put and what was counted.
    #[must_use]
    pub fn ledger(&self) -> PathBuf {
        self.path.join("ledger.sqlite")
    }

    /// The file of the lease table.
    #[must_use]
    pub fn leases(&self) -> PathBuf {
        self.path.join("leases.sqlite")
    }

    /// The folder of the embedded stream.
    #[must_use]
    pub fn stream(&self) -> PathBuf {
        self.path.join("stream")
    }
}

/// A readable name for a folder's state, which is different for each folder.
fn slug(folder: &Path) -> String {
    let name = folder.file_name().map_or_else(
        || "root".to_owned(),
        |name| name.to_string_lossy().into_owned(),
    );
    format!(
        "{name}-{:08x}",
        crc32fast::hash(folder.as_os_str().as_encoded_bytes())
    )
}
