use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use kcl_core::model::WorkerId;
use kcl_core::{Clock, SystemClock};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, ChildStdin, Command};

use super::network::Link;
use super::table_log::TableCall;
use super::tail::Tail;
use super::trace_line::TraceLine;

/// A worker process, and what it writes.
#[derive(Debug)]
pub struct Member {
    /// The worker's id.
    pub name: WorkerId,
    /// What it does.
    pub state: MemberState,
    /// The calls of the lease table that it has made.
    pub calls: Vec<TableCall>,
    child: Child,
    /// When this end of it is closed, the process ends gracefully: it does not outlive the program
    /// that started it.
    stdin: Option<ChildStdin>,
    trace: Tail,
    table_log: Tail,
    output: PathBuf,
    /// Its way to the stream, and to DynamoDB, where these can be harmed.
    pub(super) stream_link: Option<Link>,
    pub(super) table_link: Option<Link>,
}

/// What a worker process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberState {
    /// It works.
    Working,
    /// It is stopped by SIGSTOP.
    Frozen,
    /// It was told to end.
    Stopping,
    /// It is gone.
    Ended(ExitStatus),
}

/// How long the system may take to stop a process.
const FREEZE_LIMIT: Duration = Duration::from_secs(30);

impl Member {
    /// Starts the process: `program worker ARGUMENTS` and what it needs to write its trace.
    /// `number` tells its files from others'.
    ///
    /// # Errors
    /// It cannot be started, or there is no place for its files.
    pub fn start(
        program: &Path,
        name: &str,
        number: usize,
        folder: &Path,
        arguments: &[String],
    ) -> io::Result<Self> {
        let file = |kind: &str| folder.join(format!("{number:03}-{name}.{kind}"));
        let (trace, table_log, output) = (file("trace.jsonl"), file("table.jsonl"), file("log"));
        let log = std::fs::File::create(&output)?;
        let mut command = Command::new(program);
        command
            .arg("worker")
            .args(arguments)
            .args(["--worker", name]);
        command
            .arg("--trace")
            .arg(&trace)
            .arg("--table-log")
            .arg(&table_log);
        command
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true);
        // Ctrl-C is for the program that started it.
        command.process_group(0);
        let mut child = command.spawn()?;
        let stdin = child.stdin.take();
        let (trace, table_log) = (Tail::new(trace), Tail::new(table_log));
        Ok(Self {
            name: name.into(),
            state: MemberState::Working,
            calls: Vec::new(),
            child,
            stdin,
            trace,
            table_log,
            output,
            stream_link: None,
            table_link: None,
        })
    }

    /// Sends a signal. A process that is gone has no use for it.
    ///
    /// # Errors
    /// The system refuses.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        match self.pid() {
            Some(pid) => Ok(kill_process(pid, signal)?),
            None => Ok(()),
        }
    }

    fn pid(&self) -> Option<Pid> {
        Pid::from_raw(i32::try_from(self.child.id()?).ok()?)
    }

    /// Waits until the system has stopped the process after SIGSTOP.
    ///
    /// # Errors
    /// It does not stop.
    pub async fn frozen(&self) -> io::Result<()> {
        let Some(id) = self.child.id() else {
            return Ok(());
        };
        let until = SystemClock.now() + FREEZE_LIMIT;
        // Other systems have no such file; there a signal is taken for done when it is sent.
        while let Ok(stat) = std::fs::read_to_string(format!("/proc/{id}/stat")) {
            let state = stat
                .rsplit_once(')')
                .and_then(|(_, rest)| rest.split_ascii_whitespace().next());
            if state == Some("T") {
                break;
            }
            if SystemClock.now() >= until {
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    format!("{} did not freeze", self.name),
                ));
            }
            SystemClock
                .sleep_until(SystemClock.now() + Duration::from_millis(1))
                .await;
        }
        Ok(())
    }

    /// The lines that its trace has grown by; the calls in its table's log are added to
    /// [`calls`](Self::calls). Notices its end.
    ///
    /// # Errors
    /// A file cannot be read, or the system does not know the process.
    pub fn news(&mut self) -> io::Result<Vec<TraceLine>> {
        // First the end, then the lines: an end that is known leaves no line unread.
        let mut ended = false;
        if !self.is_gone()
            && let Some(status) = self.child.try_wait()?
        {
            self.state = MemberState::Ended(status);
            ended = true;
        }
        self.calls.extend(
            self.table_log
                .lines()?
                .iter()
                .filter_map(|line| TableCall::parse(line)),
        );
        let lines = self
            .trace
            .lines()?
            .iter()
            .filter_map(|line| TraceLine::parse(line))
            .collect();
        if ended {
            // There may be thousands of them.
            (self.stream_link, self.table_link) = (None, None);
            self.trace.close();
            self.table_log.close();
        }
        Ok(lines)
    }

    /// Whether the process is gone.
    #[must_use]
    pub const fn is_gone(&self) -> bool {
        matches!(self.state, MemberState::Ended(_))
    }

    /// Whether it works, as far as is known.
    #[must_use]
    pub const fn is_working(&self) -> bool {
        matches!(self.state, MemberState::Working)
    }

    /// What it wrote to its outputs.
    #[must_use]
    pub fn said(&self) -> String {
        std::fs::read_to_string(&self.output).unwrap_or_default()
    }

    /// Closes its standard input: it ends gracefully.
    pub fn close(&mut self) {
        self.stdin = None;
    }
}
