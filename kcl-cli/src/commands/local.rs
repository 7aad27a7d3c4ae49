//! `local`: the embedded Kinesis-compatible stream as a program of its own, for clients that are
//! not written in Rust. It is left out without the feature `local`, which saves compiling a web
//! server.

use std::path::PathBuf;

use clap::Args;
use kcl_local::stream::LocalStream;

use crate::failure::{Ended, Failure};
use crate::say::Output;

/// Serves an embedded Kinesis-compatible stream on 127.0.0.1, until SIGTERM or Ctrl-C.
///
/// The first line on standard output is the endpoint. Any Kinesis client can use it.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  kcl local --port 4567 --stream orders --shards 4
  kcl tail orders --endpoint http://127.0.0.1:4567")]
pub(crate) struct LocalOptions {
    /// The port; 0 picks a free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Stores the data in this folder. Default: in memory, lost when the program ends.
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Creates a stream with this name if it does not exist.
    #[arg(long, value_name = "NAME")]
    stream: Option<String>,
    /// The number of shards of that stream. A stream that exists keeps its shards.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    shards: u32,
    /// Enforces the limits of Kinesis: 5 reads and 2 MiB per second and shard; 1 subscription and 2
    /// MiB per second for each consumer of a shard.
    #[arg(long)]
    read_limits: bool,
}

impl LocalOptions {
    /// Serves until the first signal, then stops in good order, so that a folder is complete on
    /// disk.
    ///
    /// The signal is waited for before anything is started: one that arrives early is not lost. The
    /// endpoint is printed only when the stream is active, so a script that reads the line can
    /// write to it at once.
    ///
    /// # Errors
    /// The port is in use, the folder cannot be used, or the stream cannot be created. A stream
    /// that exists is not an error: a second start with the same folder and the same options must
    /// work.
    pub(crate) async fn run(self) -> Result<Ended, Failure> {
        let signal = kcl_core::stop_signal()
            .map_err(|error| Failure::new("cannot wait for Ctrl-C and SIGTERM", error))?;
        let mut builder = LocalStream::builder()
            .port(self.port)
            .read_limits(self.read_limits);
        if let Some(folder) = self.folder {
            builder = builder.folder(folder);
        }
        let stream = builder
            .start()
            .await
            .map_err(|error| Failure::new("cannot start the embedded stream", error))?;
        if let Some(name) = &self.stream {
            let made = match stream.create(name, self.shards).await {
                Err(error) if error.kind == "ResourceInUseException" => {
                    stream.wait_until_active(name).await
                }
                made => made,
            };
            made.map_err(|error| Failure::new(format!("cannot create the stream {name}"), error))?;
        }
        Output::now(stream.endpoint())?;
        signal.await;
        stream.stop().await;
        Ok(Ended::Well)
    }
}
