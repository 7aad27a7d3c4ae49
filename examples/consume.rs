//! Consumes any stream at any Kinesis endpoint: see `--help`.
//!
//! ```text
//! cargo run --release --example consume -- --stream orders --application billing
//! ```
//!
//! `build` contains everything that a worker needs: the stream, the lease table, the processor, and
//! the settings, which come from the options (`src/consume/options.rs`). The rest shows how a
//! program runs a worker until there is a reason to stop.

use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

use aws_config::BehaviorVersion;
use examples::consume::{
    ConsumeOptions, LeaseTableAt, Processor, Quiet, Seen, Summary, Trace, Watch,
};
use examples::exit::{self, USAGE};
use examples::process::ProcessStart;
use kcl_core::BoxError;
use kcl_core::Worker;
use kcl_core::processor::ShardRef;
use kcl_core::stream::kinesis::KinesisStream;
use kcl_core::worker::{ShutdownReport, Stopped};

fn main() -> ExitCode {
    let start = ProcessStart::get();
    let options = ConsumeOptions::from_command_line();
    if let Err(error) = examples::logging::start() {
        eprintln!("error: {error}");
        return USAGE.into();
    }
    let seen = Arc::new(Seen::default());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let ended = runtime
        .map_err(BoxError::from)
        .and_then(|runtime| runtime.block_on(consume(&options, &seen)));
    let code = ended.err().map_or(0, |error| exit::failure(&*error));
    if code == USAGE {
        return code.into();
    }
    println!("{}", Summary::new(&seen, start));
    code.into()
}

async fn consume(options: &ConsumeOptions, seen: &Arc<Seen>) -> Result<(), BoxError> {
    let mut signal = kcl_core::stop_signal()?;
    // Loading credentials may take long, so a signal does not wait for it.
    let worker = tokio::select! {
        biased;
        _ = &mut signal => return Ok(()),
        worker = build(options, seen) => worker?,
    };
    let (quiet, unread) = (Quiet::new(&worker), OnceLock::new());
    let enough = async {
        tokio::select! {
            biased;
            signal = &mut signal => tracing::info!(%signal, "stopping"),
            () = seen.reached(options.exit_after) => tracing::info!("--exit-after reached: \
                stopping"),
            quiet = quiet.lasts(seen, options.idle_exit) => match quiet {
                Ok(()) => tracing::info!("--idle-exit reached: stopping"),
                Err(error) => drop(unread.set(error)),
            },
        }
        // `run_until` would only stop the worker; this also says what happens to its leases.
        worker.stop(options.at_the_end(), options.grace).await
    };
    let mut watch = Watch::new(&worker);
    tokio::select! {
        biased;
        ended = worker.run_until(enough, options.grace) => report(&ended?),
        // This never completes, so the worker is never dropped while it runs.
        () = watch.follow() => {}
    }
    unread
        .into_inner()
        .map_or(Ok(()), |error| Err(error.into()))
}

async fn build(options: &ConsumeOptions, seen: &Arc<Seen>) -> Result<Worker, BoxError> {
    let trace = options
        .trace
        .as_deref()
        .map(Trace::open)
        .transpose()?
        .map(Arc::new);
    let table = LeaseTableAt::open(options).await?;
    let mut config = aws_config::defaults(BehaviorVersion::latest());
    if let Some(endpoint) = &options.endpoint {
        config = config.endpoint_url(endpoint);
    }
    let source = KinesisStream::from_config(&config.load().await, options.stream.clone()).await?;
    let seen = Arc::clone(seen);
    let worker = options
        .builder()
        .source(source)
        .lease_table(table)
        .processor(move |shard: &ShardRef| Processor::new(&seen, trace.as_ref(), shard));
    Ok(worker.build()?)
}

fn report(report: &ShutdownReport) {
    tracing::info!(%report, "stopped");
    if report.count(Stopped::Abandoned) > 0 {
        tracing::warn!(%report, "some shards were abandoned: other workers take them over when \
            their leases expire");
    }
}
