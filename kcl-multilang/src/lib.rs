//! Record processors in Python, Node.js, .NET and Ruby, unchanged and without a JVM: what the
//! `MultiLangDaemon` of the Java KCL is, as a library. The command `kcl multilang` is made of it.
//!
//! A processor runs in a child process, one for each shard, and talks with the daemon over its
//! standard input and output, by means of the libraries `amazon_kclpy`, `aws-kcl`,
//! `Amazon.Kinesis.ClientLibrary` and `aws-kclrb`.
//!
//! ```no_run
//! use kcl_core::{BoxError, MemoryLeaseTable, Worker};
//! use kcl_multilang::ChildProcessors;
//! use kcl_multilang::properties::DaemonConfig;
//!
//! # async fn run() -> Result<(), BoxError> {
//! let config = DaemonConfig::read(&std::fs::read("sample.properties")?)?;
//! let children = ChildProcessors::new(&config, Vec::new())?;
//! children.start_ahead().await?;
//! let worker = config
//!     .apply(Worker::builder())
//!     .lease_table(MemoryLeaseTable::new())
//!     .processor(children)
//!     .build()?;
//! worker.run().await?;
//! # Ok(())
//! # }
//! ```
//!
//! | module | what |
//! |---|---|
//! | [`protocol`] | what is written to a child, and what its lines mean; pure |
//! | [`properties`] | the properties file: how it is read, and what becomes of each key; pure |
//! | [`ChildProcessors`] | the record processors: children, and how they are started and ended |

mod child;
#[cfg(test)]
mod daemon_test;
mod processor;
pub mod properties;
pub mod protocol;
mod runtime;

pub use child::{ChildError, run_as_child};
pub use processor::{ChildProcessor, ChildProcessors};
