use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::ProvideCredentials as _;
use kcl_core::{Clock, SystemClock};

use crate::DynamoLeaseTable;

use super::OpenError;

/// A renewal can be tried several times within a failover time of 10 s (the KCL's default).
const CALL_LIMIT: Duration = Duration::from_secs(2);
/// Below it, a call to another region would fail by the distance alone.
const LEAST_CALL_LIMIT: Duration = Duration::from_millis(100);
/// Longer than any failover time that is of use.
const MOST_CALL_LIMIT: Duration = Duration::from_mins(1);

/// A table that is made when it is missing: on-demand capacity, one key `leaseKey`, no index.
///
/// ```
/// use kcl_dynamo::{NewTable, OpenOptions};
///
/// let mut table = NewTable::new();
/// table.tags.insert("team".to_owned(), "billing".to_owned());
/// table.deletion_protection = true;
/// let options = OpenOptions::new().create(Some(table));
/// # drop(options);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NewTable {
    /// Tags of the table.
    pub tags: BTreeMap<String, String>,
    /// Whether deleting the table has to be allowed first.
    pub deletion_protection: bool,
    /// Whether the table can be restored to any second of the last 35 days. Set at every set-up,
    /// also of a table that is there, as the KCL does.
    pub point_in_time_recovery: bool,
}

impl NewTable {
    /// A table without tags, protection and recovery, as the KCL makes it.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

/// Who else uses the table.
///
/// ```
/// use kcl_dynamo::{Neighbours, OpenOptions};
///
/// // All workers have moved from the KCL 2.x to this, and none will go back.
/// let options = OpenOptions::new().neighbours(Neighbours::Nobody);
/// # drop(options);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Neighbours {
    /// What the rows show: see [`Coexistence`](crate::Coexistence).
    #[default]
    AsSeen,
    /// Nobody, by the user's word: no Java worker uses the table any more, and none will. For a
    /// table that was a KCL's before 3.5, whose old leases would otherwise keep this fleet from
    /// writing rows beside leases until their shards have ended.
    Nobody,
}

/// How a DynamoDB lease table is opened.
///
/// ```no_run
/// # async fn open() -> Result<(), kcl_dynamo::OpenError> {
/// use kcl_dynamo::OpenOptions;
///
/// let table = OpenOptions::new().create(None).table("billing-leases").open("billing").await?;
/// # drop(table);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct OpenOptions {
    settings: Settings,
}

/// The settings of a table.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) table: Option<String>,
    pub(crate) create: Option<NewTable>,
    pub(crate) call_limit: Duration,
    pub(crate) page_rows: Option<NonZeroU16>,
    pub(crate) neighbours: Neighbours,
    pub(crate) wait_for_kcl: bool,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Default for OpenOptions {
    fn default() -> Self {
        let settings = Settings {
            table: None,
            create: Some(NewTable::new()),
            call_limit: CALL_LIMIT,
            page_rows: None,
            neighbours: Neighbours::AsSeen,
            wait_for_kcl: false,
            clock: Arc::new(SystemClock),
        };
        Self { settings }
    }
}

impl OpenOptions {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The name of the table. That of the application unless told, as in the KCL.
    #[must_use]
    pub fn table(mut self, name: impl Into<String>) -> Self {
        self.settings.table = Some(name.into());
        self
    }

    /// How to create a missing table; by default with on-demand capacity and nothing special. With
    /// `None` a missing table is an error.
    #[must_use]
    pub fn create(mut self, table: Option<NewTable>) -> Self {
        self.settings.create = table;
        self
    }

    /// How long one call may take. From 100 ms to 1 minute; 2 s unless told. It should be a small
    /// part of the failover time: a renewal that hangs as long as the lease is good loses it.
    #[must_use]
    pub const fn call_limit(mut self, limit: Duration) -> Self {
        self.settings.call_limit = limit;
        self
    }

    /// The most rows of one page of a scan. As many as fit into 1 MB (about 2500 leases) unless
    /// told. Smaller pages spread the read units of a scan on a table with provisioned capacity.
    #[must_use]
    pub const fn page_rows(mut self, rows: NonZeroU16) -> Self {
        self.settings.page_rows = Some(rows);
        self
    }

    /// Who else uses the table.
    #[must_use]
    pub const fn neighbours(mut self, neighbours: Neighbours) -> Self {
        self.settings.neighbours = neighbours;
        self
    }

    /// Whether a start waits, instead of failing with [`KclIsLeading`](crate::KclIsLeading), until
    /// a Java fleet in 3.x mode has stopped. It does not unless told.
    #[must_use]
    pub const fn wait_for_kcl(mut self, wait: bool) -> Self {
        self.settings.wait_for_kcl = wait;
        self
    }

    /// The clock that set-up waits on, and whose time of day goes into rows of workers for the KCL
    /// to read.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.settings.clock = clock;
        self
    }

    /// The lease table of an application as the environment describes it: region, credentials and
    /// endpoint from where every AWS SDK looks for them (`AWS_REGION`, `AWS_PROFILE`,
    /// `AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT_URL_DYNAMODB`, ..., the files in `~/.aws`, the role of
    /// the machine or container).
    ///
    /// # Errors
    /// [`OpenError`] when a setting is out of range, or there is no region or no credentials:
    /// before DynamoDB is called.
    pub async fn open(self, application: &str) -> Result<DynamoLeaseTable, OpenError> {
        let config = aws_config::defaults(BehaviorVersion::latest()).load().await;
        self.open_with_config(&config, application).await
    }

    /// The lease table of an application with this configuration.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn open_with_config(
        self,
        config: &SdkConfig,
        application: &str,
    ) -> Result<DynamoLeaseTable, OpenError> {
        let table = self.table_name(application);
        if config.region().is_none() {
            return Err(OpenError::NoRegion { table });
        }
        let Some(credentials) = config.credentials_provider() else {
            return Err(OpenError::NoCredentials {
                table,
                source: None,
            });
        };
        if let Err(error) = credentials.provide_credentials().await {
            return Err(OpenError::NoCredentials {
                table,
                source: Some(error.into()),
            });
        }
        self.open_with_client(&Client::new(config), application)
    }

    /// The lease table of an application with this client, except that the SDK makes no second try
    /// by itself and that calls have the limit of these options.
    ///
    /// # Errors
    /// As [`open`](Self::open), but for credentials, which are asked for with the first call.
    pub fn open_with_client(
        self,
        client: &Client,
        application: &str,
    ) -> Result<DynamoLeaseTable, OpenError> {
        let table = self.table_name(application);
        let allowed = |name: &str| {
            name.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
        };
        if !(3..=255).contains(&table.len()) || !allowed(&table) {
            return Err(OpenError::TableName {
                name: table.chars().take(256).collect(),
            });
        }
        let given = self.settings.call_limit;
        if !(LEAST_CALL_LIMIT..=MOST_CALL_LIMIT).contains(&given) {
            return Err(OpenError::CallLimit {
                given,
                least: LEAST_CALL_LIMIT,
                most: MOST_CALL_LIMIT,
            });
        }
        if client.config().region().is_none() {
            return Err(OpenError::NoRegion { table });
        }
        Ok(DynamoLeaseTable::new(
            client,
            application,
            &table,
            self.settings,
        ))
    }

    fn table_name(&self, application: &str) -> String {
        self.settings
            .table
            .clone()
            .unwrap_or_else(|| application.to_owned())
    }
}
