use std::path::{Path, PathBuf};
use std::{fs, io};

use clap::Parser;

/// Counts the words of every text file under a folder, through a stream, and proves that no line was lost or counted twice.
///
/// It starts an embedded Kinesis-compatible stream with 4 shards, puts every line of every text file as a record (its file's path
/// is the partition key), splits a shard and merges two on the way, and runs a worker that counts words from the beginning of the
/// stream. At the end the counts, the words and the order of each file's lines are compared with a plain pass over the files.
///
/// The stream, the leases and the counts are kept in a state folder. Run it again and it resumes: lines that are in the stream are
/// not put again, lines that were processed are not processed again. Lines that were added to files are; a file that was changed
/// otherwise is put again as a whole. The stream keeps lines for a week. Ctrl-C or SIGTERM stops it in good order; even after
/// kill -9 the next run goes on.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "quickstart",
    after_help = "\
Examples:
  quickstart                 count the words of this project's sources
  quickstart ~/notes         those of another folder, which gets a state folder of its own
  quickstart --replay        read everything that was ever put again, as a new application
  quickstart --fan-out       the same with records that are pushed, by enhanced fan-out

Exit codes:
  0    everything that was put was processed once and in order
  1    it was not, or something failed; standard error says what
  2    an option cannot be
  130, 143  it was stopped by Ctrl-C or SIGTERM; the next run goes on

Delete the state folder, which the program names, to begin anew."
)]
pub struct QuickstartOptions {
    /// The folder with the text files; target, .git and what is not UTF-8 are skipped. Without it: the sources of this project.
    pub folder: Option<PathBuf>,
    /// Reads everything in the stream again from its beginning, under a new application name.
    #[arg(long)]
    pub replay: bool,
    /// Has the records pushed by enhanced fan-out, where without it they are polled. A run may change it: it resumes all the same.
    #[arg(long)]
    pub fan_out: bool,
    /// Where the stream, the leases and the counts are kept. Without it: a folder in target/quickstart, one for each FOLDER.
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

/// The folders of a run cannot be.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The folder with the text files is not there.
    #[error("there is no folder {0:?} to read text files from")]
    NoFolder(PathBuf, #[source] io::Error),
    /// The folder with the text files is none.
    #[error("{0:?} is no folder: give the folder that has the text files")]
    NotFolder(PathBuf),
    /// The state folder cannot be made.
    #[error("cannot make the state folder {0:?}")]
    Make(PathBuf, #[source] io::Error),
    /// The state folder holds other things.
    #[error("{0:?} is not empty and no state folder of the quickstart: give --state an empty or a new folder")]
    Foreign(PathBuf),
}

/// The sources that this program was built from.
const WORKSPACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

impl State {
    /// Finds the folder with the text files, and finds or makes the state folder.
    ///
    /// # Errors
    /// There is no such folder, or the state folder is not for this.
    pub fn find(options: &QuickstartOptions) -> Result<Self, StateError> {
        let folder = options.folder.as_deref().unwrap_or_else(|| Path::new(WORKSPACE));
        let folder = folder.canonicalize().map_err(|error| StateError::NoFolder(folder.to_owned(), error))?;
        if !folder.is_dir() {
            return Err(StateError::NotFolder(folder));
        }
        let path = options.state.clone().unwrap_or_else(|| Path::new(WORKSPACE).join("target/quickstart").join(slug(&folder)));
        let made = fs::create_dir_all(&path).and_then(|()| path.canonicalize());
        let path = made.map_err(|error| StateError::Make(path, error))?;
        let state = Self { folder, path };
        let listed = fs::read_dir(&state.path).map_err(|error| StateError::Make(state.path.clone(), error))?;
        if listed.flatten().next().is_some() && !state.ledger().exists() && !state.stream().exists() {
            return Err(StateError::Foreign(state.path));
        }
        Ok(state)
    }

    /// The file with what was put and what was counted.
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

/// A name for a folder's state that tells people which it is, and is another one for another folder.
fn slug(folder: &Path) -> String {
    let name = folder.file_name().map_or_else(|| "root".to_owned(), |name| name.to_string_lossy().into_owned());
    format!("{name}-{:08x}", crc32fast::hash(folder.as_os_str().as_encoded_bytes()))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        QuickstartOptions::command().debug_assert();
    }

    #[test]
    fn each_folder_has_its_own_state_and_leaves_others_alone() {
        assert_ne!(slug(Path::new("/a/notes")), slug(Path::new("/b/notes")));
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("mine"), "x").unwrap();
        let state = Some(folder.path().to_owned());
        let options = QuickstartOptions { folder: Some(folder.path().to_owned()), replay: false, fan_out: false, state };
        assert!(matches!(State::find(&options), Err(StateError::Foreign(_))));
        let options = QuickstartOptions { folder: Some(folder.path().join("mine")), ..options };
        assert!(matches!(State::find(&options), Err(StateError::NotFolder(_))));
    }
}
