//! `export` and `import`: the positions of an application as a file, and back into a table.
//!
//! They are two halves of one promise: what `export` has written, `import` creates in any table,
//! row by row and on the condition that the row does not exist. So an import can neither move a
//! checkpoint back nor take a lease from a worker, whatever it is given.
//!
//! ```text
//! lease table A --scan--> Backup --JSON--> Backup --plan--> create, one conditional write a row
//!                                                     \--> refusal: a different row is in the way
//! ```
//!
//! The rows of workers are left out: they say who was alive, which is over by the time of the
//! import. Tokens of tenancies are kept. They do no harm in another table, and in the same table
//! they are what makes a row equal to its export. Parents are created before their children, so an
//! import that is interrupted leaves no child that could be read before its parent.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;
use kcl_core::admin::{Backup, ImportError, Imported, import, read_table};
use kcl_core::lease::Consistency;
use kcl_core::{Clock as _, SystemClock};
use serde::Serialize;

use crate::arguments::{OutputArguments, TableArguments};
use crate::failure::{Ended, Failure};
use crate::say::{Output, Progress, count};

/// Writes the leases of an application as JSON: a backup, or the way to another table.
///
/// The rows of workers are not exported, nor are attributes that the framework does not know. A
/// table with a row that cannot be read is not exported, because that row would be missing later.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  kcl export billing --lease-table dynamo --to billing.json
  kcl export billing --table sqlite:leases.sqlite | kcl import billing --table dynamo --free

Exit codes: 0 exported, 1 refused because a row is malformed, 3 it failed.")]
pub(crate) struct ExportOptions {
    #[command(flatten)]
    table: TableArguments,
    /// The file; it must not exist yet. Default: standard output.
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    /// Leaves out rows that cannot be read, and names them on standard error.
    #[arg(long)]
    without_malformed: bool,
}

impl ExportOptions {
    /// Reads with strong consistency and writes. What is said beside the JSON goes to standard
    /// error, so that the output can be piped into `kcl import`.
    ///
    /// A malformed row of a worker does not count: workers are not exported.
    pub(crate) async fn run(self) -> Result<Ended, Failure> {
        let table = self.table.to_read().await?;
        let rows = read_table(&*table.table, Consistency::Strong)
            .await
            .map_err(|error| table.failed(error))?;
        if rows.leases.is_empty() && rows.malformed.is_empty() {
            return Err(Failure::of(table.nothing_found().await));
        }
        let lost = rows.malformed.iter().filter(|row| row.lease().is_some());
        let lost: Vec<String> = lost.map(ToString::to_string).collect();
        for row in &lost {
            eprintln!("malformed: {row}");
        }
        if !lost.is_empty() && !self.without_malformed {
            eprintln!(
                "refused: {} cannot be exported; correct the rows, or use --without-malformed to \
                 leave them out",
                count(lost.len(), "lease", "leases")
            );
            return Ok(Ended::WithFindings);
        }
        let backup = Backup::new(&table.application, &rows.leases, SystemClock.wall());
        match &self.to {
            None => Output::json(&backup)?,
            Some(path) => write_backup(path, &backup)?,
        }
        eprintln!(
            "exported {} from {}",
            count(backup.leases.len(), "lease", "leases"),
            table.place
        );
        Ok(Ended::Well)
    }
}

/// Writes a new file, and has it on disk before it reports success. It never replaces another file:
/// the older backup may be the one that is needed.
fn write_backup(path: &Path, backup: &Backup) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(backup)
        .map_err(|error| Failure::new("cannot write JSON", error))?;
    write_new(path, |file| writeln!(file, "{text}"))
        .map_err(|error| Failure::new(format!("cannot write {}", path.display()), error))
}

/// Writes a file that does not exist yet, all of it or nothing: it is written under another name in
/// the same folder, and gets its own when it is on disk. So an export that breaks off, for want of
/// space or because it is killed, leaves no file that looks like a backup.
fn write_new(path: &Path, write: impl FnOnce(&mut fs::File) -> io::Result<()>) -> io::Result<()> {
    let taken = || {
        let text = "the file exists, and is not replaced";
        io::Error::new(io::ErrorKind::AlreadyExists, text)
    };
    // Before the work. What comes to be there meanwhile is found at the end.
    if path.try_exists()? {
        return Err(taken());
    }
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut beside = tempfile::Builder::new();
    beside.prefix(".kcl-export-").suffix(".partial");
    // As the user's other files: what is in it is no secret beside the records.
    #[cfg(unix)]
    beside.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut beside = beside.tempfile_in(folder)?;
    write(beside.as_file_mut())?;
    beside.as_file().sync_all()?;
    beside
        .persist_noclobber(path)
        .map(drop)
        .map_err(|failed| match failed.error.kind() {
            io::ErrorKind::AlreadyExists => taken(),
            _ => failed.error,
        })
}

/// Creates the leases of an export in a table. It overwrites nothing.
///
/// Each lease is created on the condition that no row has its key. If the table has a different row
/// for any of them, nothing is written. A lease that is there already, exactly as exported, is
/// skipped, so an import that was interrupted is finished by running it again. A missing table is
/// created.
///
/// Owners are imported too. They keep their leases until these expire, like those of dead workers;
/// --free leaves the owners out.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  kcl import billing --lease-table dynamo --from billing.json --dry-run
  kcl import billing --lease-table dynamo --from billing.json --free

Exit codes: 0 imported, 1 refused because another row is in the way, 3 it failed.")]
pub(crate) struct ImportOptions {
    #[command(flatten)]
    table: TableArguments,
    /// The file. Default: standard input.
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// Says what would be done, and writes nothing.
    #[arg(long)]
    dry_run: bool,
    /// Imports the leases without their owners, so that workers take them at once.
    #[arg(long)]
    free: bool,
    /// Imports the leases although they were exported from an application of another name.
    #[arg(long)]
    rename: bool,
    #[command(flatten)]
    output: OutputArguments,
}

/// The JSON of `kcl import`.
#[derive(Debug, Serialize)]
struct ImportDocument<'a> {
    /// The application that the leases were imported for, which `--rename` lets differ from the
    /// export's.
    application: &'a str,
    /// In the form of `--lease-table`.
    lease_table: String,
    /// Whether nothing was written. `created` is then 0, and `would_create` is set.
    dry_run: bool,
    /// How many leases were created, and how many were there already.
    #[serde(flatten)]
    done: Imported,
    /// How many leases would be created. None unless it is a dry run.
    would_create: Option<usize>,
}

impl ImportOptions {
    /// Reads the export, compares it with the table, and creates what is missing.
    ///
    /// The whole table is compared before the first write, so an import that cannot be finished is
    /// refused before it has begun. Another program may still write in between; each creation is
    /// conditional, and the import stops at the first row that it did not expect.
    ///
    /// # Errors
    /// The export or the table cannot be read, the export is of another application, or a write has
    /// failed. What was created before stays, and the message says how much that is.
    ///
    /// With `--dry-run` a missing SQLite file stays missing and counts as an empty table. The
    /// result is then what the import would do at this moment, and no promise about later.
    pub(crate) async fn run(self) -> Result<Ended, Failure> {
        let mut backup = self.read()?;
        if backup.application != self.table.application && !self.rename {
            return Err(Failure::of(format!(
                "the export has leases of `{}`, expected leases of `{}`; use --rename to import \
                 them anyway",
                backup.application, self.table.application
            )));
        }
        if self.free {
            backup = backup.freed();
        }
        let table = match self.dry_run {
            false => Some(self.table.to_write().await?),
            // A dry run makes no file. A file that cannot be opened is no missing one: the import
            // itself would fail as well.
            true if self.table.is_missing_file()? => None,
            true => Some(self.table.to_read().await?),
        };
        let rows = match &table {
            Some(table) => {
                if !self.dry_run {
                    table
                        .table
                        .setup()
                        .await
                        .map_err(|error| table.failed(error))?;
                }
                read_table(&*table.table, Consistency::Strong)
                    .await
                    .map_err(|error| table.failed(error))?
            }
            None => kcl_core::lease::ScanPage::default(),
        };
        let plan = match backup.plan(&rows) {
            Ok(plan) => plan,
            Err(error) => return refused(error),
        };
        let place = table
            .as_ref()
            .map(|table| table.place.to_string())
            .or_else(|| self.table.lease_table.as_ref().map(ToString::to_string))
            .unwrap_or_default();
        let mut done = Imported::default();
        done.already_there = plan.already_there.len();
        if let (Some(table), false) = (&table, self.dry_run) {
            let progress = Progress::new("creating leases", plan.create.len());
            let ended = import(&*table.table, &plan, |created| {
                progress.at(created, plan.create.len());
            });
            done = match ended.await {
                Ok(done) => done,
                Err(error) => return refused(error),
            };
        }
        if self.output.json {
            Output::json(&ImportDocument {
                application: &self.table.application,
                lease_table: place,
                dry_run: self.dry_run,
                done,
                would_create: self.dry_run.then_some(plan.create.len()),
            })?;
            return Ok(Ended::Well);
        }
        let (verb, created) = if self.dry_run {
            ("would create", plan.create.len())
        } else {
            ("created", done.created)
        };
        Output::now(&format!(
            "{verb} {} in {place}; {} already there",
            count(created, "lease", "leases"),
            if done.already_there == 1 {
                "1 is".to_owned()
            } else {
                format!("{} are", done.already_there)
            }
        ))?;
        Ok(Ended::Well)
    }

    /// Reads the export from the file or from standard input. Fields that are unknown are an error:
    /// an export of a later version may say something that must not be lost.
    fn read(&self) -> Result<Backup, Failure> {
        let (name, text) = match &self.from {
            Some(path) => (path.display().to_string(), fs::read_to_string(path)),
            None => {
                let mut text = String::new();
                let read = io::stdin().read_to_string(&mut text);
                ("standard input".to_owned(), read.map(|_| text))
            }
        };
        let text = text.map_err(|error| Failure::new(format!("cannot read {name}"), error))?;
        serde_json::from_str(&text).map_err(|error| {
            Failure::new(
                format!("{name} is not an export of leases: expected what `kcl export` writes"),
                error,
            )
        })
    }
}

/// A row in the way is a refusal, exit code 1: the table is as it was, and a person decides. A
/// table that fails is a failure, exit code 3: the same import may be run again.
fn refused(error: ImportError) -> Result<Ended, Failure> {
    match error {
        ImportError::Table { .. } => Err(Failure::new("cannot import", error)),
        error => {
            let cause = std::error::Error::source(&error);
            let cause = cause.map(|cause| format!(": {cause}")).unwrap_or_default();
            eprintln!("refused: {error}{cause}");
            Ok(Ended::WithFindings)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(folder: &Path) -> Vec<String> {
        let names = fs::read_dir(folder).unwrap();
        let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string();
        names.map(|entry| name(entry).unwrap()).collect()
    }

    #[test]
    fn a_file_that_breaks_off_is_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("leases.json");
        let error = write_new(&path, |file| {
            file.write_all(b"half")?;
            Err(io::Error::from(io::ErrorKind::StorageFull))
        });
        assert_eq!(error.unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(files(folder.path()), Vec::<String>::new());
        write_new(&path, |file| file.write_all(b"whole")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        assert_eq!(files(folder.path()), ["leases.json"]);
    }

    /// One that comes to be there while the other is written stays, too.
    #[test]
    fn a_file_is_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("leases.json");
        let error = write_new(&path, |_| fs::write(&path, "another's"));
        assert_eq!(error.unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"another's");
        assert_eq!(files(folder.path()), ["leases.json"]);
    }
}
