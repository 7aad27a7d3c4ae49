//! Counts the words of every text file under a folder, through a stream, and proves that no line
//! was lost or counted twice.
//!
//! ```text
//! cargo run --example quickstart -- [FOLDER] [--replay] [--fan-out]
//! ```
//!
//! [`worker`] and [`work`] show how a worker is built and run; `src/quickstart/counter.rs` contains
//! what it does with records.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use examples::embedded::Embedded;
use examples::exit::{self, FAILED, USAGE};
use examples::process::ProcessStart;
use examples::quickstart::{
    Corpus, Counts, Ledger, Producer, Progress, PutProgress, QuickstartOptions, Report, Shards,
    State, WordCounter, recover,
};
use indicatif::HumanCount;
use kcl_core::BoxError;
use kcl_core::processor::ShardRef;
use kcl_core::signal::{Signal, StopSignal};
use kcl_core::stream::kinesis::KinesisStream;
use kcl_core::worker::{FanOutConfig, Mode, ShutdownReport, Stopped};
use kcl_core::{OnFailure, Worker};
use kcl_local::SqliteLeaseTable;

/// The name of the stream.
const STREAM: &str = "quickstart";
const SHARDS: i32 = 4;
/// After what time the leases of a killed run are taken over.
const FAILOVER: Duration = Duration::from_secs(3);
/// How long nothing may happen before missing lines count as lost.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a graceful stop may take.
const GRACE: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() -> ExitCode {
    let options = QuickstartOptions::parse();
    if let Err(error) = examples::logging::start() {
        eprintln!("error: {error}");
        return USAGE.into();
    }
    exit::code(quickstart(&options).await)
}

async fn quickstart(options: &QuickstartOptions) -> Result<u8, BoxError> {
    let start = ProcessStart::get();
    let mut caught = kcl_core::stop_signal()?;
    let state = State::find(options)?;
    // The stream comes first: only one process can open it, which protects the whole state folder.
    let stream = Embedded::in_folder(STREAM, SHARDS, &state.stream()).await?;
    let ledger = Ledger::open(&state.ledger(), &state.folder)?;
    let put = recover(&stream, &ledger).await?;
    let mut producer = Producer::plan(Corpus::find(&state.folder, &state.path)?, put);
    let (application, killed) = ledger.begin_run(options.replay)?;
    let counts = Arc::new(Counts::load(&ledger, &application, killed)?);
    let worker = worker(&state, &stream, &application, options, &counts).await?;

    greet(
        &state,
        &stream,
        &producer,
        &counts,
        (&application, options.fan_out),
        killed,
    );
    let ended = work(
        &worker,
        &stream,
        &ledger,
        &mut producer,
        &counts,
        &mut caught,
    )
    .await?;
    if ended.stopped.count(Stopped::Abandoned) == 0 {
        ledger.end_run(&application)?;
    }
    stream.stop().await;
    let report = Report::new(
        producer.put(),
        ended.put,
        &counts,
        ended.shards,
        start.elapsed(),
        ended.signal.is_none(),
    );
    println!("\n{report}");
    Ok(verdict(&report, ended.signal))
}

/// A worker that counts words, from the beginning of the stream or from its checkpoints.
async fn worker(
    state: &State,
    stream: &Embedded,
    application: &str,
    options: &QuickstartOptions,
    counts: &Arc<Counts>,
) -> Result<Worker, BoxError> {
    let table = SqliteLeaseTable::open(state.leases(), application).await?;
    let counts = Arc::clone(counts);
    // One fan-out consumer for the first application and its replays, because a stream can have at
    // most 20.
    let mode = if options.fan_out {
        Mode::FanOut(FanOutConfig::shared().name(STREAM))
    } else {
        Mode::Polling
    };
    let worker = Worker::builder()
        .stream(stream.name())
        .source(KinesisStream::new(stream.client(), stream.name().parse()?))
        .application(application)
        .lease_table(table)
        .processor(move |shard: &ShardRef| WordCounter::new(&counts, shard))
        .mode(mode)
        .failover(FAILOVER)
        .idle_ceiling(Duration::from_millis(300))
        // The counter fails only if its file cannot be written.
        .on_failure(OnFailure::Stop)
        .build()?;
    Ok(worker)
}

/// How a run ended.
struct Ended {
    /// Lines that were put.
    put: u64,
    /// The shards as they were before the worker released them.
    shards: Shards,
    signal: Option<Signal>,
    stopped: ShutdownReport,
}

/// Puts and processes lines until all are done or a signal arrives, and stops gracefully.
async fn work(
    worker: &Worker,
    stream: &Embedded,
    ledger: &Ledger,
    producer: &mut Producer,
    counts: &Counts,
    caught: &mut StopSignal,
) -> Result<Ended, BoxError> {
    let put = PutProgress::default();
    let bars = Progress::new(producer.total(), left(producer, counts));
    let mut all = Box::pin(async {
        let lines = producer
            .run(stream, ledger, &put, |text| bars.say(text))
            .await?;
        let open = stream.open_shards().await?;
        tokio::select! {
            biased;
            () = put.stopped() => {}
            () = counts.finished(lines, &open, PATIENCE) => {}
        }
        Ok::<_, BoxError>(())
    });
    let (mut signal, mut done) = (None, None);
    let all_is_done = async {
        let ended = loop {
            tokio::select! {
                biased;
                first = &mut *caught, if signal.is_none() => {
                    bars.say(&format!("{first}: stopping; a second signal ends it at once"));
                    signal = Some(first);
                    put.stop();
                }
                ended = &mut all => break ended,
                () = Progress::tick() => bars.show(&put, counts),
            }
        };
        bars.end();
        done = Some((ended, counts.shards()));
    };
    let stopped = worker.run_until(all_is_done, GRACE).await?;
    // Without a reason to stop, it ends only if it cannot continue.
    let (ended, shards) = done.ok_or("the worker stopped unexpectedly")?;
    ended?;
    Ok(Ended {
        put: put.lines(),
        shards,
        signal,
        stopped,
    })
}

/// The number of lines that this run has to process.
fn left(producer: &Producer, counts: &Counts) -> u64 {
    (producer.held() + producer.total()).saturating_sub(counts.tally().lines)
}

fn greet(
    state: &State,
    stream: &Embedded,
    producer: &Producer,
    counts: &Counts,
    (application, pushed): (&str, bool),
    killed: bool,
) {
    let corpus = producer.corpus();
    eprintln!("files    {} under {corpus}", HumanCount(corpus.files()));
    for skipped in corpus.skipped() {
        eprintln!("         {skipped}");
    }
    eprintln!("state    {}", state.path.display());
    eprintln!(
        "stream   {} at {} while this runs",
        stream.name(),
        stream.endpoint()
    );
    eprintln!(
        "lines    {} in the stream, {} to put",
        HumanCount(producer.held()),
        HumanCount(producer.total())
    );
    let (before, left) = (
        HumanCount(counts.tally().lines),
        HumanCount(left(producer, counts)),
    );
    eprintln!("worker   application {application}: {before} lines processed before, {left} left");
    if pushed {
        eprintln!("         records are pushed to the consumer {STREAM} by enhanced fan-out");
    }
    if killed {
        eprintln!(
            "         the last run was killed: its leases are taken over when they expire, in a \
             few seconds"
        );
    }
}

/// Prints the outcome in a sentence, and returns the exit code for it.
fn verdict(report: &Report, signal: Option<Signal>) -> u8 {
    match signal {
        Some(signal) if report.is_right_so_far() => {
            println!("Stopped by {signal}. Run it again to resume.");
            signal.exit_code()
        }
        None if report.is_right() && report.new_lines() == 0 => {
            println!(
                "Resumed at the checkpoints: nothing was left to process.\n--replay reads \
                 everything again."
            );
            0
        }
        None if report.is_right() => {
            println!(
                "Every line was processed once and in order.\nRun it again to see it resume; \
                 --replay reads everything again."
            );
            0
        }
        _ => {
            eprintln!("error: the lines processed are not the lines put");
            FAILED
        }
    }
}
