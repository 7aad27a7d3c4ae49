use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kcl_core::model::{Position, ShardId};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};

use super::counted::Counted;
use super::plain::Count;

/// One edition of a file: its path and the number of the edition.
pub type FileKey = (String, u32);

/// What was put and what was counted, in one `SQLite` file.
///
/// The counts of a batch and the position of its shard are written in one transaction.
#[derive(Clone, Debug)]
pub struct Ledger {
    path: Arc<PathBuf>,
    db: Arc<Mutex<Connection>>,
}

/// The ledger cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// Another version of this program created it.
    #[error(
        "{path:?} has version {found}, expected {VERSION}: delete its folder, or pass another one \
         with --state"
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
    },
    /// Another program created it.
    #[error("{0:?} is not a ledger of the quickstart: pass another folder with --state")]
    Foreign(PathBuf),
    /// It belongs to another folder of text files.
    #[error(
        "the state folder belongs to {found}, not to {wanted}: pass another folder with --state"
    )]
    OtherFolder {
        /// The folder that it belongs to.
        found: String,
        /// The folder that was given.
        wanted: String,
    },
    /// `SQLite` failed.
    #[error("the ledger {path:?} cannot be used")]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// The error of `SQLite`.
        source: rusqlite::Error,
    },
}

const VERSION: i64 = 1;
/// `KQST`.
const APPLICATION: i64 = 0x4B51_5354;
const SCHEMA: &str = "
    CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE put (path TEXT, edition INTEGER, lines INTEGER, words INTEGER, crc INTEGER,
        PRIMARY KEY (path, edition)) WITHOUT ROWID;
    CREATE TABLE applications (name TEXT PRIMARY KEY, stopped INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE counted (application TEXT, path TEXT, edition INTEGER, lines INTEGER, words INTEGER, crc INTEGER, last INTEGER,
        PRIMARY KEY (application, path, edition)) WITHOUT ROWID;
    CREATE TABLE positions (application TEXT, shard TEXT, sequence TEXT NOT NULL, sub INTEGER NOT NULL,
        PRIMARY KEY (application, shard)) WITHOUT ROWID;";

impl Ledger {
    /// Opens or creates the ledger for a folder of text files.
    ///
    /// # Errors
    /// If it belongs to another program, another version or another folder, or cannot be used.
    pub fn open(path: &Path, folder: &Path) -> Result<Self, LedgerError> {
        let failed = |source| LedgerError::Sqlite {
            path: path.to_owned(),
            source,
        };
        let mut db = Connection::open(path).map_err(failed)?;
        let pragma = |name: &str| db.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        let foreign = |source: rusqlite::Error| match source.sqlite_error_code() {
            Some(rusqlite::ErrorCode::NotADatabase) => LedgerError::Foreign(path.to_owned()),
            _ => failed(source),
        };
        let (application, found) = (
            pragma("application_id").map_err(foreign)?,
            pragma("user_version").map_err(failed)?,
        );
        let tables: i64 = db
            .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
            .map_err(failed)?;
        match (application, found) {
            (APPLICATION, VERSION) => {}
            (APPLICATION, _) => {
                return Err(LedgerError::Version {
                    path: path.to_owned(),
                    found,
                });
            }
            _ if tables > 0 => return Err(LedgerError::Foreign(path.to_owned())),
            _ => make(&mut db).map_err(failed)?,
        }
        // After a power failure, the counts must not be behind a stored checkpoint.
        db.pragma_update(None, "synchronous", "FULL")
            .map_err(failed)?;
        let ledger = Self {
            path: Arc::new(path.to_owned()),
            db: Arc::new(Mutex::new(db)),
        };
        let wanted = folder.to_string_lossy().into_owned();
        match ledger.fact("folder")? {
            Some(found) if found != wanted => Err(LedgerError::OtherFolder { found, wanted }),
            Some(_) => Ok(ledger),
            None => ledger.set_fact("folder", &wanted).map(|()| ledger),
        }
    }

    fn with<T>(
        &self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T>,
    ) -> Result<T, LedgerError> {
        let mut db: MutexGuard<'_, Connection> =
            self.db.lock().unwrap_or_else(PoisonError::into_inner);
        work(&mut db).map_err(|source| LedgerError::Sqlite {
            path: (*self.path).clone(),
            source,
        })
    }

    fn fact(&self, name: &str) -> Result<Option<String>, LedgerError> {
        self.with(|db| {
            db.query_row("SELECT value FROM facts WHERE name = ?", [name], |row| {
                row.get(0)
            })
            .optional()
        })
    }

    fn set_fact(&self, name: &str, value: &str) -> Result<(), LedgerError> {
        self.with(|db| {
            db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", [name, value])
                .map(drop)
        })
    }

    /// What was put, ordered by file and edition.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub fn put(&self) -> Result<BTreeMap<FileKey, Count>, LedgerError> {
        self.with(|db| {
            let mut rows = db.prepare("SELECT path, edition, lines, words, crc FROM put")?;
            rows.query_map([], |row| Ok((key(row)?, count(row)?)))?
                .collect()
        })
    }

    /// Whether a run was killed while it put lines: the stream may then have more lines than the
    /// ledger says.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub fn is_torn(&self) -> Result<bool, LedgerError> {
        Ok(self.fact("putting")?.is_some())
    }

    /// Notes that lines are about to be put. Must be called before the first one.
    ///
    /// # Errors
    /// The ledger cannot be written.
    pub fn begin_put(&self) -> Result<(), LedgerError> {
        self.set_fact("putting", "yes")
    }

    /// Stores what is in the stream of these files now, and notes that no more lines are being put.
    ///
    /// # Errors
    /// The ledger cannot be written.
    pub fn end_put<'a>(
        &self,
        files: impl IntoIterator<Item = (&'a FileKey, &'a Count)>,
    ) -> Result<(), LedgerError> {
        self.with(|db| {
            let change = db.transaction()?;
            for ((path, edition), Count { lines, words, crc }) in files {
                let row = params![path, edition, lines, words, crc];
                change
                    .prepare_cached("INSERT OR REPLACE INTO put VALUES (?, ?, ?, ?, ?)")?
                    .execute(row)?;
            }
            change.execute("DELETE FROM facts WHERE name = 'putting'", [])?;
            change.commit()
        })
    }

    /// Begins a run: returns the name of the application, a new one for a replay, and whether its
    /// last run was killed.
    ///
    /// # Errors
    /// The ledger cannot be used.
    pub fn begin_run(&self, replay: bool) -> Result<(String, bool), LedgerError> {
        self.with(|db| {
            let name = if replay {
                let replays: i64 = db.query_row(
                    "SELECT count(*) FROM applications WHERE name <> 'quickstart'",
                    [],
                    |row| row.get(0),
                )?;
                format!("quickstart-replay-{}", replays + 1)
            } else {
                "quickstart".to_owned()
            };
            let stopped = "SELECT stopped FROM applications WHERE name = ?";
            let stopped: Option<bool> = db
                .query_row(stopped, [&name], |row| row.get(0))
                .optional()?;
            db.execute(
                "INSERT OR REPLACE INTO applications VALUES (?, FALSE)",
                [&name],
            )?;
            Ok((name, stopped == Some(false)))
        })
    }

    /// Notes that the run was stopped gracefully.
    ///
    /// # Errors
    /// The ledger cannot be written.
    pub fn end_run(&self, application: &str) -> Result<(), LedgerError> {
        self.with(|db| {
            db.execute(
                "UPDATE applications SET stopped = TRUE WHERE name = ?",
                [application],
            )
            .map(drop)
        })
    }

    /// What an application has counted.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub fn counted(&self, application: &str) -> Result<HashMap<FileKey, Counted>, LedgerError> {
        self.with(|db| {
            let mut rows = db.prepare(
                "SELECT path, edition, lines, words, crc, last FROM counted WHERE application = ?",
            )?;
            rows.query_map([application], |row| {
                Ok((key(row)?, Counted::stored(count(row)?, row.get("last")?)))
            })?
            .collect()
        })
    }

    /// The position of an application in each shard.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub fn positions(&self, application: &str) -> Result<HashMap<ShardId, Position>, LedgerError> {
        self.with(|db| {
            let mut rows =
                db.prepare("SELECT shard, sequence, sub FROM positions WHERE application = ?")?;
            let position = |row: &Row<'_>| {
                let sequence: String = row.get("sequence")?;
                let sequence = sequence.parse().map_err(|error| {
                    rusqlite::Error::FromSqlConversionFailure(
                        1,
                        rusqlite::types::Type::Text,
                        Box::new(error),
                    )
                })?;
                Ok((
                    row.get::<_, String>("shard")?.into(),
                    Position::new(sequence, row.get("sub")?),
                ))
            };
            rows.query_map([application], position)?.collect()
        })
    }

    /// Stores the counts that a batch has changed, and the shard's position after it.
    ///
    /// # Errors
    /// If the ledger cannot be written. Nothing is stored then.
    pub fn commit<'a>(
        &self,
        application: &str,
        shard: &ShardId,
        position: &Position,
        files: impl IntoIterator<Item = (&'a str, u32, &'a Counted)>,
    ) -> Result<(), LedgerError> {
        self.with(|db| {
            let change = db.transaction()?;
            for (
                path,
                edition,
                Counted {
                    count: Count { lines, words, crc },
                    last,
                    ..
                },
            ) in files
            {
                let row = params![application, path, edition, lines, words, crc, last];
                change
                    .prepare_cached("INSERT OR REPLACE INTO counted VALUES (?, ?, ?, ?, ?, ?, ?)")?
                    .execute(row)?;
            }
            let row = [application, shard.as_str(), &position.sequence.to_string()]
                .map(|text| Value::from(text.to_owned()));
            let sub = Value::from(i64::try_from(position.sub_sequence).unwrap_or(i64::MAX));
            let mut store =
                change.prepare_cached("INSERT OR REPLACE INTO positions VALUES (?, ?, ?, ?)")?;
            store.execute(params_from_iter(row.into_iter().chain([sub])))?;
            drop(store);
            change.commit()
        })
    }
}

fn make(db: &mut Connection) -> rusqlite::Result<()> {
    db.pragma_update(None, "journal_mode", "WAL")?;
    let change = db.transaction()?;
    change.execute_batch(SCHEMA)?;
    // A new ledger: only the stream knows whether it already contains lines.
    change.execute("INSERT INTO facts VALUES ('putting', 'yes')", [])?;
    change.pragma_update(None, "application_id", APPLICATION)?;
    change.pragma_update(None, "user_version", VERSION)?;
    change.commit()
}

fn key(row: &Row<'_>) -> rusqlite::Result<FileKey> {
    Ok((row.get("path")?, row.get("edition")?))
}

fn count(row: &Row<'_>) -> rusqlite::Result<Count> {
    Ok(Count {
        lines: row.get("lines")?,
        words: row.get("words")?,
        crc: row.get("crc")?,
    })
}
