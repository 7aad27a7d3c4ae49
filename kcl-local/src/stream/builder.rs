//! The settings of an embedded stream.
//!
//! They are checked together when the server starts, so that a builder can be written in any order.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

#[cfg(feature = "stream-tls")]
use super::transport::Identity;
use super::{LocalStream, StartError};

/// The settings of a [`LocalStream`]; each has a default.
///
/// ```
/// use kcl_local::stream::LocalStream;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // With the service's limits, and in another region.
/// let stream = LocalStream::builder().region("eu-west-1").read_limits(true).write_limits(true).start().await?;
/// assert_eq!(stream.region(), "eu-west-1");
/// assert!(LocalStream::builder().account("mine").start().await.is_err(), "an account is 12 digits");
/// # stream.stop().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until `start` is called"]
pub struct LocalStreamBuilder {
    /// Where the server listens; port 0 is a free one.
    pub(super) address: SocketAddr,
    /// Where data is kept. None keeps it in memory.
    pub(super) folder: Option<PathBuf>,
    /// Whether reads are limited as in the service.
    pub(super) read_limits: bool,
    /// Whether puts are limited as in the service.
    pub(super) write_limits: bool,
    pub(super) region: String,
    pub(super) account: String,
    /// The most open shards of all streams together.
    pub(super) shard_limit: u32,
    /// How long a shard iterator is valid.
    pub(super) iterator_lifetime: Duration,
    /// How long a subscription lasts.
    pub(super) session: Duration,
    /// How long a change of a stream or a consumer takes.
    pub(super) settle: Duration,
    /// How long a subscription keeps the next one of the same consumer and shard away.
    pub(super) resubscribe: Duration,
    /// Whether HTTP/2 is spoken.
    pub(super) http2: bool,
    /// The most open requests of an HTTP/2 connection.
    pub(super) max_concurrent_streams: u32,
    #[cfg(feature = "stream-tls")]
    pub(super) identity: Option<Identity>,
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
            resubscribe: Duration::from_secs(5),
            http2: true,
            max_concurrent_streams: 200,
            #[cfg(feature = "stream-tls")]
            identity: None,
        }
    }
}

impl LocalStreamBuilder {
    /// The address at which the server listens. Default: `127.0.0.1`, with a free port.
    pub fn address(mut self, address: impl Into<SocketAddr>) -> Self {
        self.address = address.into();
        self
    }

    /// The port on `127.0.0.1`. With 0, the default, the server takes a free one.
    pub fn port(self, port: u16) -> Self {
        self.address((Ipv4Addr::LOCALHOST, port))
    }

    /// Keeps streams and records in a folder, which is created if it does not exist. Only one
    /// process can have it open. Default: everything is lost when the server ends.
    ///
    /// # Examples
    /// ```
    /// use kcl_local::stream::LocalStream;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// let kinesis = LocalStream::builder().folder(folder.path()).start().await?;
    /// kinesis.create("orders", 2).await?;
    /// kinesis.stop().await;
    ///
    /// let again = LocalStream::builder().folder(folder.path()).start().await?;
    /// assert_eq!(again.open_shards("orders").await?.len(), 2);
    /// # again.stop().await;
    /// # Ok(())
    /// # }
    /// ```
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// Whether to apply the read limits of a real shard: 5 `GetRecords` calls and 2 MiB per second,
    /// and for each consumer one `SubscribeToShard` call and 2 MiB per second. Default: no.
    ///
    /// Switch it on to test how an application behaves when it is throttled.
    pub fn read_limits(mut self, on: bool) -> Self {
        self.read_limits = on;
        self
    }

    /// Whether to apply the write limits of a real shard: 1,000 records and 1 MiB per second.
    /// Default: no.
    ///
    /// # Examples
    /// ```
    /// use kcl_local::stream::LocalStream;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let kinesis = LocalStream::builder().write_limits(true).start().await?;
    /// kinesis.create("orders", 1).await?;
    /// // 1 MiB per second and shard: the second record does not fit any more.
    /// let large = vec![0; 900 * 1024];
    /// let refused = kinesis.put_all("orders", [("a", &large), ("b", &large)]).await.unwrap_err();
    /// assert_eq!(refused.kind, "ProvisionedThroughputExceededException");
    /// # kinesis.stop().await;
    /// # Ok(())
    /// # }
    /// ```
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

    /// How many open shards all streams together may have. Default: 10,000.
    pub fn shard_limit(mut self, shards: u32) -> Self {
        self.shard_limit = shards;
        self
    }

    /// How long a shard iterator is valid. Default: 5 minutes, as in the service.
    pub fn iterator_lifetime(mut self, lifetime: Duration) -> Self {
        self.iterator_lifetime = lifetime;
        self
    }

    /// How long a `SubscribeToShard` subscription lasts. Default: 5 minutes, as in the service.
    pub fn fan_out_session(mut self, session: Duration) -> Self {
        self.session = session;
        self
    }

    /// How long after a subscription the same consumer cannot subscribe to the shard again, but
    /// gets a `ResourceInUseException`. After that, a new subscription takes over from the old one.
    /// Default: 5 s, as in the service.
    pub fn resubscribe_after(mut self, time: Duration) -> Self {
        self.resubscribe = time;
        self
    }

    /// Whether the server supports HTTP/2. Without it, it supports only HTTP/1.1. Default: yes.
    pub fn http2(mut self, on: bool) -> Self {
        self.http2 = on;
        self
    }

    /// How many requests may be open at the same time on an HTTP/2 connection. A subscription is an
    /// open request for as long as it lasts; clients delay further requests. Default: 200, the
    /// default of the HTTP library. The service's number is not published.
    pub fn max_concurrent_streams(mut self, requests: u32) -> Self {
        self.max_concurrent_streams = requests;
        self
    }

    /// Serves HTTPS with this certificate; the client chooses HTTP/2 or HTTP/1.1 by ALPN.
    ///
    /// The certificate is that of the server, and may be followed by the intermediate ones up to
    /// the one that clients trust. Certificate and key are PEM or DER (DER allows only one
    /// certificate). The endpoint's URL contains the IP address, so the certificate has to be valid
    /// for `127.0.0.1`, unless clients use `localhost` instead. Default: plain HTTP.
    #[cfg(feature = "stream-tls")]
    pub fn tls(mut self, certificate: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        self.identity = Some(Identity::new(certificate.into(), key.into()));
        self
    }

    /// How long a stream stays CREATING, DELETING or UPDATING, and a consumer CREATING or DELETING.
    /// At most 60 s. Default: 50 ms.
    ///
    /// A longer time shows whether a program waits for a stream to be ACTIVE.
    pub fn settle_time(mut self, settle: Duration) -> Self {
        self.settle = settle;
        self
    }

    /// Starts the server; it accepts requests when this returns.
    ///
    /// # Errors
    ///
    /// If a setting is invalid, the address is in use, or the folder cannot be used.
    pub async fn start(self) -> Result<LocalStream, StartError> {
        self.check()?;
        LocalStream::start_with(self).await
    }

    /// Checks each setting by itself; what depends on the system, such as the address, shows at the
    /// start.
    fn check(&self) -> Result<(), StartError> {
        let refused = |setting, value: String, allowed| {
            Err(StartError::Setting {
                setting,
                value,
                allowed,
            })
        };
        if self.account.len() != 12 || !self.account.bytes().all(|byte| byte.is_ascii_digit()) {
            return refused("account", self.account.clone(), "12 digits");
        }
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if self.region.is_empty() || !self.region.bytes().all(plain) {
            return refused(
                "region",
                self.region.clone(),
                "lower-case letters, digits and -",
            );
        }
        if self.shard_limit == 0 {
            return refused("shard_limit", "0".to_owned(), "1 or more");
        }
        for (setting, value) in [
            ("iterator_lifetime", self.iterator_lifetime),
            ("fan_out_session", self.session),
        ] {
            if value.is_zero() {
                return refused(setting, "0 s".to_owned(), "more than 0 s");
            }
        }
        if self.max_concurrent_streams == 0 {
            return refused("max_concurrent_streams", "0".to_owned(), "1 or more");
        }
        if self.settle > Duration::from_secs(60) {
            return refused("settle_time", format!("{:?}", self.settle), "up to 60 s");
        }
        Ok(())
    }
}
