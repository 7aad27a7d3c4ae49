use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use kcl_core::BoxError;
use kcl_core::Worker;
use kcl_core::processor::ShardRef;
use kcl_core::stream::kinesis::KinesisStream;
use kcl_core::stream::kinesis::http::Http1Client;
use kcl_core::worker::Stopped;
use tokio::net::unix::pipe::Receiver;

use examples::consume::{ConsumeOptions, LeaseTableAt, Processor, Seen, Summary, Trace, Watch};
use examples::embedded::client;
use examples::exit::failure;
use examples::process::ProcessStart;

use super::logged_table::LoggedTable;
use super::signals::Signals;
use super::slow::Slow;

/// The command line of a worker process: that of `consume`, and a log of the lease table's calls.
#[derive(Clone, Debug, Args)]
pub struct WorkerOptions {
    /// What `consume` takes.
    #[command(flatten)]
    pub consume: ConsumeOptions,
    /// Writes a JSON line to this file for each call to the lease table.
    #[arg(long, value_name = "FILE")]
    pub table_log: std::path::PathBuf,
    /// How long processing a batch takes.
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = humantime::parse_duration)]
    pub batch_time: Duration,
}

/// Works on the embedded stream of the program that started this process, until SIGTERM, Ctrl-C or
/// the end of standard input: then it gives its shards up gracefully. Returns the exit code.
pub async fn run_worker(options: &WorkerOptions) -> u8 {
    let start = ProcessStart::get();
    let seen = Arc::new(Seen::default());
    let ended = work(options, &seen).await;
    println!("{}", Summary::new(&seen, start));
    ended.err().map_or(0, |error| failure(&*error))
}

async fn work(options: &WorkerOptions, seen: &Arc<Seen>) -> Result<(), BoxError> {
    let mut signals = Signals::catch()?;
    let worker = build(options, seen).await?;
    let mut watch = Watch::new(&worker);
    let mut run = Box::pin(worker.run());
    tokio::select! {
        biased;
        _ = signals.next() => {}
        () = input_ended() => {}
        ended = &mut run => return Ok(ended.map(drop)?),
        trouble = watch.start_within(options.consume.start_within) => return Err(trouble.into()),
    }
    let shutdown = async {
        tokio::join!(
            worker.stop(options.consume.at_the_end(), options.consume.grace),
            run
        )
        .1
    };
    tokio::select! {
        biased;
        signal = signals.next() => Err(format!("{signal} again: ending at once").into()),
        ended = shutdown => match ended? {
            report if report.count(Stopped::Abandoned) > 0 => Err(format!("some shards were \
                abandoned: {report}").into()),
            _ => Ok(()),
        },
        () = watch.follow() => Ok(()),
    }
}

async fn build(options: &WorkerOptions, seen: &Arc<Seen>) -> Result<Worker, BoxError> {
    let WorkerOptions {
        consume: options,
        table_log,
        batch_time,
    } = options;
    let batch_time = *batch_time;
    let trace = options
        .trace
        .as_deref()
        .map(Trace::open)
        .transpose()?
        .map(Arc::new);
    let table = LeaseTableAt::open(options).await?;
    let table = LoggedTable::new(table, Arc::new(Trace::open(table_log)?));
    let endpoint = options
        .endpoint
        .as_deref()
        .ok_or("--endpoint is missing: the embedded stream's")?;
    let source = KinesisStream::new(&client(endpoint, "us-east-1"), options.stream.clone())
        .read_over(Http1Client::new());
    let seen = Arc::clone(seen);
    let worker = options
        .builder()
        .source(source)
        .lease_table(table)
        .processor(move |shard: &ShardRef| {
            Slow::new(Processor::new(&seen, trace.as_ref(), shard), batch_time)
        });
    Ok(worker.build()?)
}

/// Waits until the pipe that is standard input is closed. Where it is none, for ever.
async fn input_ended() {
    let pipe = std::io::stdin()
        .as_fd()
        .try_clone_to_owned()
        .and_then(Receiver::from_owned_fd);
    let Ok(pipe) = pipe else {
        return std::future::pending().await;
    };
    let mut bytes = [0; 64];
    while pipe.readable().await.is_ok() {
        match pipe.try_read(&mut bytes) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => break,
        }
    }
    std::future::pending::<()>().await;
}

/// How long a worker process may take to end.
pub(super) const GRACE: Duration = Duration::from_secs(30);
