//! How a table is opened, and with which settings.

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

/// Short enough that a renewal can be tried several times within a failover time of 10 s (the KCL's
/// default).
const CALL_LIMIT: Duration = Duration::from_secs(2);
/// With less than this, a call to another region would fail because of the distance alone.
const LEAST_CALL_LIMIT: Duration = Duration::from_millis(100);
/// Longer than any useful failover time.
const MOST_CALL_LIMIT: Duration = Duration::from_mins(1);

/// How to create a missing table. It gets on-demand capacity, the single key `leaseKey`, and no
/// index.
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
    /// The tags of the table.
    pub tags: BTreeMap<String, String>,
    /// Whether the table is protected against deletion.
    pub deletion_protection: bool,
    /// Whether the table can be restored to any second of the last 35 days. This is applied at
    /// every `setup`, also to an existing table, as the KCL does.
    pub point_in_time_recovery: bool,
}

impl NewTable {
    /// A table without tags, deletion protection and point-in-time recovery, as the KCL creates it.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

/// Whether workers of the Java KCL may use the table.
///
/// ```
/// use kcl_dynamo::{JavaWorkers, OpenOptions};
///
/// // All workers have moved from the KCL 2.x to this framework, and none will go back.
/// let options = OpenOptions::new().java_workers(JavaWorkers::Absent);
/// # drop(options);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum JavaWorkers {
    /// The rows of the table are searched for traces of them: see [`Coexistence`](crate::Coexistence).
    #[default]
    Detect,
    /// The user asserts that no Java worker uses the table any more, and that none will. For a
    /// table that a KCL before 3.5 used: its old leases would otherwise prevent this fleet from
    /// writing rows besides leases until their shards have ended.
    Absent,
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

/// The settings of a table, checked when it is opened. [`OpenOptions`] documents them.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// The table's name, if it is not the application's.
    pub(crate) table: Option<String>,
    /// How to create a missing table, if that is allowed.
    pub(crate) create: Option<NewTable>,
    /// The time limit of every call. A write may wait for its permit for a quarter of it before
    /// that.
    pub(crate) call_limit: Duration,
    /// The most rows of a page of a scan, if DynamoDB's 1 MB is not to decide.
    pub(crate) page_rows: Option<NonZeroU16>,
    /// Whether Java workers are looked for.
    pub(crate) java_workers: JavaWorkers,
    /// Whether `setup` is `Throttled`, which a worker repeats, and not `Fatal` while a KCL leads.
    pub(crate) wait_for_kcl: bool,
    /// Where time comes from. Tests put a clock here that they move themselves.
    pub(crate) clock: Arc<dyn Clock>,
}

impl Default for OpenOptions {
    fn default() -> Self {
        let settings = Settings {
            table: None,
            create: Some(NewTable::new()),
            call_limit: CALL_LIMIT,
            page_rows: None,
            java_workers: JavaWorkers::Detect,
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

    /// The name of the table. By default that of the application, as with the KCL.
    #[must_use]
    pub fn table(mut self, name: impl Into<String>) -> Self {
        self.settings.table = Some(name.into());
        self
    }

    /// How to create a missing table. By default [`NewTable::new`]; with `None`, a missing table is
    /// an error.
    #[must_use]
    pub fn create(mut self, table: Option<NewTable>) -> Self {
        self.settings.create = table;
        self
    }

    /// How long one call may take: 100 ms to 1 minute, by default 2 s. It should be a small part of
    /// the failover time: a renewal that hangs until the lease expires loses it.
    #[must_use]
    pub const fn call_limit(mut self, limit: Duration) -> Self {
        self.settings.call_limit = limit;
        self
    }

    /// How many rows one page of a scan has at most. By default as many as fit into 1 MB (about
    /// 2,500 leases). Smaller pages spread the read units of a scan on a table with provisioned
    /// capacity.
    #[must_use]
    pub const fn page_rows(mut self, rows: NonZeroU16) -> Self {
        self.settings.page_rows = Some(rows);
        self
    }

    /// Whether workers of the Java KCL may use the table. By default [`JavaWorkers::Detect`].
    #[must_use]
    pub const fn java_workers(mut self, java_workers: JavaWorkers) -> Self {
        self.settings.java_workers = java_workers;
        self
    }

    /// Whether `setup` waits until a Java fleet in 3.x mode has stopped, instead of failing with
    /// [`KclIsLeading`](crate::KclIsLeading). By default it fails.
    #[must_use]
    pub const fn wait_for_kcl(mut self, wait: bool) -> Self {
        self.settings.wait_for_kcl = wait;
        self
    }

    /// The clock that `setup` waits on. Its wall-clock time is also written into the rows of
    /// workers, where the KCL reads it. By default the system clock.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.settings.clock = clock;
        self
    }

    /// Opens the lease table of an application. Region, credentials and endpoint come from where
    /// every AWS SDK looks for them: environment variables (`AWS_REGION`, `AWS_PROFILE`,
    /// `AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT_URL_DYNAMODB`, ...), the files in `~/.aws`, or the role
    /// of the machine or container.
    ///
    /// # Errors
    /// [`OpenError`] if a setting is out of range, or if there is no region or no credentials.
    /// DynamoDB is not called.
    pub async fn open(self, application: &str) -> Result<DynamoLeaseTable, OpenError> {
        let config = aws_config::defaults(BehaviorVersion::latest()).load().await;
        self.open_with_config(&config, application).await
    }

    /// Opens the lease table of an application with this SDK configuration.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
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

    /// Opens the lease table of an application with this client, but with the SDK's retries turned
    /// off and with the call limit of these options.
    ///
    /// # Errors
    /// As for [`open`](Self::open), except that credentials are not checked before the first call.
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

    /// The name that was set, or that of the application, as with the KCL.
    fn table_name(&self, application: &str) -> String {
        self.settings
            .table
            .clone()
            .unwrap_or_else(|| application.to_owned())
    }
}
