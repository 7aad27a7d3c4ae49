//! Where a lease table is, and how it is opened.
//!
//! Both backends come out as one `Arc<dyn LeaseTable>`, so no command knows which one it reads.
//! What differs stays here: which file or table is meant by default, and which hint helps somebody
//! who mistyped the name of the application.
//!
//! | `--lease-table` | is |
//! |---|---|
//! | left out | an SQLite file in the folder of the user's state, named after the application |
//! | `sqlite:PATH` | that SQLite file |
//! | `dynamo` | the DynamoDB table that is named after the application, in the region of the environment |
//! | `dynamo:TABLE` | that DynamoDB table, for a fleet that was set up with another name |

use std::env;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use aws_config::BehaviorVersion;
use kcl_core::lease::LeaseTable;
use kcl_dynamo::OpenOptions;
use kcl_local::SqliteLeaseTable;

use crate::failure::Failure;

/// Where leases and checkpoints are kept, as on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TableAt {
    /// `sqlite:PATH`: in an SQLite file. Several applications may share it; rows are told apart by
    /// the application's name.
    Sqlite(PathBuf),
    /// `dynamo:TABLE`, or `dynamo` for the table that is named after the application, as the KCL
    /// does. One DynamoDB table belongs to one application.
    Dynamo(Option<String>),
}

/// An open table, with what a message about it has to name.
#[derive(Debug)]
pub(crate) struct OpenTable {
    /// The table itself.
    pub(crate) table: Arc<dyn LeaseTable>,
    /// Where it is, for output and errors. A default is resolved: the path is never missing.
    pub(crate) place: TableAt,
    /// Whose rows are read.
    pub(crate) application: String,
    /// The same table, if it is an SQLite file: only such a file can tell which other applications
    /// have rows in it.
    sqlite: Option<SqliteLeaseTable>,
}

impl FromStr for TableAt {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("sqlite", path)) if !path.is_empty() => Ok(Self::Sqlite(path.into())),
            Some(("dynamo", table)) if !table.is_empty() => {
                Ok(Self::Dynamo(Some(table.to_owned())))
            }
            None if text == "dynamo" => Ok(Self::Dynamo(None)),
            _ => Err("expected sqlite:PATH, dynamo or dynamo:TABLE".to_owned()),
        }
    }
}

/// The form of the command line, so that a message can be copied into the next command.
impl fmt::Display for TableAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Dynamo(Some(table)) => write!(f, "dynamo:{table}"),
            Self::Dynamo(None) => f.write_str("dynamo"),
        }
    }
}

impl OpenTable {
    /// Opens the table of an application. It writes no rows.
    ///
    /// With `may_make` a missing SQLite file is created; without it a missing file is an error. A
    /// DynamoDB table is never created here. `dynamo_endpoint` is the URL of an emulator, and is
    /// refused beside an SQLite file: silently ignoring it would look at another table than the
    /// user thinks.
    ///
    /// # Errors
    /// The file is missing, the table cannot be opened, or the options contradict each other.
    pub(crate) async fn open(
        application: &str,
        place: Option<TableAt>,
        dynamo_endpoint: Option<&str>,
        may_make: bool,
    ) -> Result<Self, Failure> {
        let place = match place {
            Some(place) => place,
            None => TableAt::Sqlite(default_file(application)?),
        };
        let cannot = |error: kcl_core::BoxError| {
            Failure::new(format!("cannot open the lease table {place}"), error)
        };
        let (table, sqlite): (Arc<dyn LeaseTable>, _) = match &place {
            TableAt::Sqlite(_) if dynamo_endpoint.is_some() => {
                return Err(Failure::of(format!(
                    "--dynamo-endpoint does not apply to --lease-table {place}: it needs \
                     --lease-table dynamo"
                )));
            }
            TableAt::Sqlite(path) => {
                if !may_make && !path.exists() {
                    return Err(Failure::of(format!(
                        "there is no file {}: expected the SQLite lease table of \
                         `{application}`; use --lease-table to say where it is",
                        path.display()
                    )));
                }
                let table = SqliteLeaseTable::open(path, application)
                    .await
                    .map_err(|error| cannot(error.into()))?;
                (Arc::new(table.clone()), Some(table))
            }
            TableAt::Dynamo(name) => {
                let mut config = aws_config::defaults(BehaviorVersion::latest());
                if let Some(endpoint) = dynamo_endpoint {
                    config = config.endpoint_url(endpoint);
                }
                let mut opening = OpenOptions::new();
                if let Some(name) = name {
                    opening = opening.table(name);
                }
                let table = opening
                    .open_with_config(&config.load().await, application)
                    .await
                    .map_err(|error| cannot(error.into()))?;
                (Arc::new(table), None)
            }
        };
        Ok(Self {
            table,
            place,
            application: application.to_owned(),
            sqlite,
        })
    }

    /// Whether the table is an SQLite file that does not exist.
    ///
    /// # Errors
    /// There is no default file.
    pub(crate) fn is_missing_file(
        application: &str,
        place: Option<&TableAt>,
    ) -> Result<bool, Failure> {
        Ok(match place {
            Some(TableAt::Sqlite(path)) => !path.exists(),
            Some(TableAt::Dynamo(_)) => false,
            None => !default_file(application)?.exists(),
        })
    }

    /// The failure for a call of this table that has failed. It names the table, because the error
    /// of the call does not.
    pub(crate) fn failed(&self, error: kcl_core::lease::Error) -> Failure {
        Failure::new(format!("cannot read the lease table {}", self.place), error)
    }

    /// The message for a table without a row of the application.
    ///
    /// It is an error and not an empty list: a mistyped name is by far the most frequent reason. An
    /// SQLite file can tell which applications it does have rows of, and the message names them.
    /// DynamoDB has one table for each application, so there is nothing to tell.
    pub(crate) async fn nothing_found(&self) -> String {
        let none = format!(
            "the lease table {} has no rows of the application `{}`",
            self.place, self.application
        );
        let others = match &self.sqlite {
            Some(table) => table.applications().await.unwrap_or_default(),
            None => Vec::new(),
        };
        if others.is_empty() {
            return none;
        }
        format!("{none}; it has rows of: {}", others.join(", "))
    }
}

/// The default file, in the folder of the user's own state, where the example `consume` puts it
/// too: `$XDG_STATE_HOME/kcl`, or `~/.local/state/kcl`.
///
/// `/` and `:` in the application's name become `_`, because neither can stand in the name of a
/// file everywhere. A relative `XDG_STATE_HOME` is ignored, as the XDG specification demands.
///
/// # Errors
/// Neither of the two variables is of use, so the user has to say where the table is.
fn default_file(application: &str) -> Result<PathBuf, Failure> {
    let set = |name: &str| {
        env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let state = set("XDG_STATE_HOME").filter(|path| path.is_absolute());
    let state = state.or_else(|| set("HOME").map(|home| home.join(".local/state")));
    let Some(folder) = state.map(|state| state.join("kcl")) else {
        return Err(Failure::of(
            "cannot tell where the lease table is: HOME is not set; use --lease-table",
        ));
    };
    Ok(folder.join(format!(
        "{}.leases.sqlite",
        application.replace(['/', ':'], "_")
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A path may contain a colon: only the first one separates.
    #[test]
    fn a_place_is_a_file_or_a_table() {
        assert_eq!("sqlite:a:b".parse(), Ok(TableAt::Sqlite("a:b".into())));
        for text in ["sqlite:a:b", "dynamo", "dynamo:leases"] {
            assert_eq!(text.parse::<TableAt>().unwrap().to_string(), text);
        }
        for wrong in ["", "leases.sqlite", "sqlite:", "dynamo:", "dynamodb"] {
            assert!(wrong.parse::<TableAt>().is_err(), "{wrong}");
        }
    }
}
