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

/// Where leases and checkpoints are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TableAt {
    /// In an `SQLite` file.
    Sqlite(PathBuf),
    /// In a table of DynamoDB, of this name or of the application's.
    Dynamo(Option<String>),
}

/// A table that is open.
#[derive(Debug)]
pub(crate) struct OpenTable {
    pub(crate) table: Arc<dyn LeaseTable>,
    pub(crate) place: TableAt,
    pub(crate) application: String,
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

/// As it is said on the command line.
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
    /// Opens the table of an application. Where none may be made, an `SQLite` file has to be there
    /// already. Nothing is written. `dynamo_endpoint` is that of an emulator.
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
                    "--dynamo-endpoint was given with --lease-table {place}: it needs \
                     --lease-table dynamo"
                )));
            }
            TableAt::Sqlite(path) => {
                if !may_make && !path.exists() {
                    return Err(Failure::of(format!(
                        "there is no file {}: expected the SQLite file of the leases of \
                         `{application}`; --lease-table says where leases are",
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

    /// A call of this table has failed.
    pub(crate) fn failed(&self, error: kcl_core::lease::Error) -> Failure {
        Failure::new(format!("cannot read the lease table {}", self.place), error)
    }

    /// There are no rows of the application: whose rows are there instead, if that can be told.
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

/// The file in the user's own folder for such, where the example `consume` puts it.
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
            "no place to look for the leases: HOME is not set; use --lease-table sqlite:PATH",
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
