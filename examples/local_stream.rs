//! Serves an embedded Kinesis-compatible stream until SIGTERM or Ctrl-C.
//!
//! The first line on standard output is the endpoint, which any Kinesis client can use:
//!
//! ```text
//! cargo run --release --example local_stream -- --port 4567 --stream orders --shards 4
//! aws kinesis put-record --endpoint-url http://127.0.0.1:4567 --stream-name orders --partition-key k --data aGVsbG8=
//! ```

use std::error::Error;
use std::io::Write;
use std::path::PathBuf;

use clap::Parser;
use kcl_local::stream::{CallError, LocalStream};

/// Serves an embedded Kinesis-compatible stream on 127.0.0.1, until SIGTERM or Ctrl-C.
#[derive(Parser)]
struct Options {
    /// The port; 0 picks a free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Stores the data in this folder. Default: in memory, lost at the end.
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Creates a stream with this name, unless it exists.
    #[arg(long)]
    stream: Option<String>,
    /// The number of shards of that stream.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    shards: u32,
    /// Enforces the limits of the service: 5 reads and 2 MiB per second and shard; for each
    /// consumer 1 subscription and 2 MiB.
    #[arg(long)]
    read_limits: bool,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let signal = kcl_core::stop_signal()?;
    let mut builder = LocalStream::builder()
        .port(options.port)
        .read_limits(options.read_limits);
    if let Some(folder) = options.folder {
        builder = builder.folder(folder);
    }
    let stream = builder.start().await?;
    if let Some(name) = options.stream {
        create(&stream, &name, options.shards).await?;
    }
    {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{}", stream.endpoint())?;
        out.flush()?;
    }
    signal.await;
    stream.stop().await;
    Ok(())
}

/// Creates a stream, unless one with this name exists, and waits until it is active.
async fn create(stream: &LocalStream, name: &str, shards: u32) -> Result<(), CallError> {
    match stream.create(name, shards).await {
        Err(error) if error.kind == "ResourceInUseException" => {
            stream.wait_until_active(name).await
        }
        made => made,
    }
}
