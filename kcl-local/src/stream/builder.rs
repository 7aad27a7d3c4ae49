//! The settings of an embedded stream.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::{LocalStream, StartError};

/// The settings of a [`LocalStream`]; each has a default.
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until `start` is called"]
pub struct LocalStreamBuilder {
    pub(super) address: SocketAddr,
    pub(super) folder: Option<PathBuf>,
    pub(super) read_limits: bool,
    pub(super) write_limits: bool,
    pub(super) region: String,
    pub(super) account: String,
    pub(super) shard_limit: u32,
    pub(super) iterator_lifetime: Duration,
    pub(super) session: Duration,
    pub(super) settle: Duration,
}

impl Default for LocalStreamBuilder {
    fn default() -> Self {
        Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            folder: None,
            read_limits: false,
            write_limits: false,
            region: "us-east-1".to_owned(),
            account: "000000000000".to_owned(),
            shard_limit: 10_000,
            iterator_lifetime: Duration::from_secs(300),
            session: Duration::from_secs(300),
            settle: Duration::from_millis(50),
        }
    }
}

impl LocalStreamBuilder {
    /// Where the server listens. Default: `127.0.0.1`, and a port that is free.
    pub fn address(mut self, address: impl Into<SocketAddr>) -> Self {
        self.address = address.into();
        self
    }

    /// The port on `127.0.0.1`; 0, the default, takes one that is free.
    pub fn port(self, port: u16) -> Self {
        self.address((Ipv4Addr::LOCALHOST, port))
    }

    /// Keeps streams and records in a folder, which is made if there is none. One process may have it open. Default: everything
    /// is gone when the server ends.
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// Whether readers meet the limits of a real shard: 5 `GetRecords` calls and 2 MiB a second. Default: no.
    pub fn read_limits(mut self, on: bool) -> Self {
        self.read_limits = on;
        self
    }

    /// Whether writers meet the limits of a real shard: 1,000 records and 1 MiB a second. Default: no.
    pub fn write_limits(mut self, on: bool) -> Self {
        self.write_limits = on;
        self
    }

    /// The region in the ARNs. Default: `us-east-1`.
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.region = region.into();
        self
    }

    /// The account in the ARNs, 12 digits. Default: `000000000000`.
    pub fn account(mut self, account: impl Into<String>) -> Self {
        self.account = account.into();
        self
    }

    /// The most open shards that all streams may have together. Default: 10,000.
    pub fn shard_limit(mut self, shards: u32) -> Self {
        self.shard_limit = shards;
        self
    }

    /// How long a shard iterator may be used. Default: 5 minutes, as of the service.
    pub fn iterator_lifetime(mut self, lifetime: Duration) -> Self {
        self.iterator_lifetime = lifetime;
        self
    }

    /// How long a fan-out session lasts. Default: 5 minutes, as of the service.
    pub fn fan_out_session(mut self, session: Duration) -> Self {
        self.session = session;
        self
    }

    /// How long a stream is CREATING, DELETING or UPDATING. Default: 50 ms. (A consumer takes the emulator's half second.)
    pub fn settle_time(mut self, settle: Duration) -> Self {
        self.settle = settle;
        self
    }

    /// Starts the server; it accepts requests when this returns.
    ///
    /// # Errors
    ///
    /// A setting is not allowed, the address is taken, or the folder cannot be used.
    pub async fn start(self) -> Result<LocalStream, StartError> {
        self.check()?;
        LocalStream::start_with(self).await
    }

    fn check(&self) -> Result<(), StartError> {
        let refused = |setting, value: String, allowed| Err(StartError::Setting { setting, value, allowed });
        if self.account.len() != 12 || !self.account.bytes().all(|byte| byte.is_ascii_digit()) {
            return refused("account", self.account.clone(), "12 digits");
        }
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if self.region.is_empty() || !self.region.bytes().all(plain) {
            return refused("region", self.region.clone(), "lower-case letters, digits and -");
        }
        if self.shard_limit == 0 {
            return refused("shard_limit", "0".to_owned(), "1 or more");
        }
        for (setting, value) in [("iterator_lifetime", self.iterator_lifetime), ("fan_out_session", self.session)] {
            if value.is_zero() {
                return refused(setting, "0 s".to_owned(), "more than 0 s");
            }
        }
        if self.settle > Duration::from_secs(60) {
            return refused("settle_time", format!("{:?}", self.settle), "up to 60 s");
        }
        Ok(())
    }
}
