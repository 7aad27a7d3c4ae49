use std::env;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use aws_config::BehaviorVersion;
use kcl_core::BoxError;
use kcl_core::lease::LeaseTable;
use kcl_dynamo::OpenOptions;
use kcl_local::SqliteLeaseTable;

use super::ConsumeOptions;

/// Where leases and checkpoints are stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaseTableAt {
    /// In an `SQLite` file.
    Sqlite(PathBuf),
    /// In a DynamoDB table with this name or, if `None`, with that of the application.
    Dynamo(Option<String>),
}

impl FromStr for LeaseTableAt {
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

impl LeaseTableAt {
    /// Opens the table.
    ///
    /// # Errors
    /// If there is no place for the file, or it cannot be a lease table; or if there is no region
    /// or no credentials.
    pub async fn open(options: &ConsumeOptions) -> Result<Arc<dyn LeaseTable>, BoxError> {
        let place = match &options.lease_table {
            Some(place) => place.clone(),
            None => Self::Sqlite(default_file(&options.application)?),
        };
        place
            .open_for(&options.application, options.dynamo_endpoint.as_deref())
            .await
    }

    /// Opens the table of this application. `dynamo_endpoint` is the URL of an emulator.
    ///
    /// # Errors
    /// See [`open`](Self::open).
    pub async fn open_for(
        &self,
        application: &str,
        dynamo_endpoint: Option<&str>,
    ) -> Result<Arc<dyn LeaseTable>, BoxError> {
        match (self, dynamo_endpoint) {
            (Self::Sqlite(_), Some(_)) => {
                Err("--dynamo-endpoint is only valid with --lease-table dynamo".into())
            }
            (Self::Sqlite(path), None) => {
                Ok(Arc::new(SqliteLeaseTable::open(path, application).await?))
            }
            (Self::Dynamo(table), endpoint) => {
                // Not the configuration of the stream, because --endpoint is that of Kinesis.
                let mut config = aws_config::defaults(BehaviorVersion::latest());
                if let Some(endpoint) = endpoint {
                    config = config.endpoint_url(endpoint);
                }
                let mut opening = OpenOptions::new();
                if let Some(table) = table {
                    opening = opening.table(table);
                }
                Ok(Arc::new(
                    opening
                        .open_with_config(&config.load().await, application)
                        .await?,
                ))
            }
        }
    }
}

/// Writes it as on the command line.
impl fmt::Display for LeaseTableAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Dynamo(Some(table)) => write!(f, "dynamo:{table}"),
            Self::Dynamo(None) => f.write_str("dynamo"),
        }
    }
}

/// The file in the user's state folder, which is created.
fn default_file(application: &str) -> Result<PathBuf, String> {
    let set = |name: &str| {
        env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let state = set("XDG_STATE_HOME").filter(|path| path.is_absolute());
    let state = state.or_else(|| set("HOME").map(|home| home.join(".local/state")));
    let Some(folder) = state.map(|state| state.join("kcl")) else {
        return Err(
            "no place to store the leases: HOME is not set; use --lease-table sqlite:PATH"
                .to_owned(),
        );
    };
    std::fs::create_dir_all(&folder).map_err(|error| {
        format!(
            "cannot create the folder {} for the leases: {error}; use --lease-table sqlite:PATH \
             for another place",
            folder.display()
        )
    })?;
    Ok(folder.join(format!(
        "{}.leases.sqlite",
        application.replace(['/', ':'], "_")
    )))
}
