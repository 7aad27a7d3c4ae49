//! `export` and `import`.

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
/// Rows of workers are not in it, nor are attributes that the framework does not know. A table with
/// a row that cannot be read is not exported, as the row would be missing later.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  kcl export billing --lease-table dynamo --to billing.json
  kcl export billing --table sqlite:leases.sqlite | kcl import billing --table dynamo --free

Exit codes: 0 exported, 1 refused, as a row is malformed, 3 it failed.")]
pub(crate) struct ExportOptions {
    #[command(flatten)]
    table: TableArguments,
    /// The file; it must not exist yet. Default: standard output.
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    /// Leaves rows out that cannot be read, and says so.
    #[arg(long)]
    without_malformed: bool,
}

impl ExportOptions {
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
                "refused: {} cannot be exported; correct them, or leave them out with \
                 --without-malformed",
                count(lost.len(), "lease", "leases")
            );
            return Ok(Ended::WithFindings);
        }
        let backup = Backup::new(&table.application, &rows.leases, SystemClock.wall());
        match &self.to {
            None => Output::json(&backup)?,
            Some(path) => write_new(path, &backup)?,
        }
        eprintln!(
            "exported {} from {}",
            count(backup.leases.len(), "lease", "leases"),
            table.place
        );
        Ok(Ended::Well)
    }
}

/// A backup never takes the place of another file.
fn write_new(path: &Path, backup: &Backup) -> Result<(), Failure> {
    let cannot = |error: io::Error| Failure::new(format!("cannot write {}", path.display()), error);
    let text = serde_json::to_string_pretty(backup)
        .map_err(|error| Failure::new("cannot write JSON", error))?;
    let mut file = fs::File::create_new(path).map_err(cannot)?;
    writeln!(file, "{text}")
        .and_then(|()| file.sync_all())
        .map_err(cannot)
}

/// Creates the leases of an export in a table. Overwrites nothing.
///
/// Each lease is created on the condition that there is no row of its key. If any row stands there
/// that is another one, nothing is written. A lease that stands there just as it is to be is passed
/// over, so an import that was broken off is finished by another one. The table is made if it is
/// missing.
///
/// Owners are imported too: they hold their leases until these expire, like those of dead workers.
/// --free leaves them out.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  kcl import billing --lease-table dynamo --from billing.json --dry-run
  kcl import billing --lease-table dynamo --from billing.json --free

Exit codes: 0 imported, 1 refused: another row is in the way, 3 it failed.")]
pub(crate) struct ImportOptions {
    #[command(flatten)]
    table: TableArguments,
    /// The file. Default: standard input.
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// Says what would be done, and writes nothing.
    #[arg(long)]
    dry_run: bool,
    /// Imports the leases without their owners: workers take them at once.
    #[arg(long)]
    free: bool,
    /// Imports it for this application although it was exported from another one.
    #[arg(long)]
    rename: bool,
    #[command(flatten)]
    output: OutputArguments,
}

#[derive(Debug, Serialize)]
struct ImportDocument<'a> {
    application: &'a str,
    lease_table: String,
    dry_run: bool,
    #[serde(flatten)]
    done: Imported,
    /// What a dry run would create.
    would_create: Option<usize>,
}

impl ImportOptions {
    pub(crate) async fn run(self) -> Result<Ended, Failure> {
        let mut backup = self.read()?;
        if backup.application != self.table.application && !self.rename {
            return Err(Failure::of(format!(
                "these are leases of `{}`: expected those of `{}`; --rename imports them all the \
                 same",
                backup.application, self.table.application
            )));
        }
        if self.free {
            backup = backup.freed();
        }
        let exists = self.table.to_read().await;
        let table = match exists {
            Ok(table) => Some(table),
            // A dry run makes no file.
            Err(_) if self.dry_run => None,
            Err(_) => Some(self.table.to_write().await?),
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
                format!("{name} is no export of leases: expected what `kcl export` writes"),
                error,
            )
        })
    }
}

/// What is in the way is a refusal; a table that fails is a failure.
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
