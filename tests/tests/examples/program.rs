//! A program that runs.
#![expect(
    clippy::disallowed_methods,
    reason = "waits for what other processes do"
)]

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Longer than anything here takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

/// A run of an example; killed when it is dropped.
pub(crate) struct Program(Option<Child>);

/// What a program left behind.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Program {
    pub(crate) fn start<A: AsRef<OsStr>>(
        example: &str,
        arguments: impl IntoIterator<Item = A>,
    ) -> Self {
        Self::start_with(example, arguments, |command| command)
    }

    /// Starts an example in an environment with credentials for any endpoint, and as `change` says.
    pub(crate) fn start_with<A: AsRef<OsStr>>(
        example: &str,
        arguments: impl IntoIterator<Item = A>,
        change: impl FnOnce(&mut Command) -> &mut Command,
    ) -> Self {
        let mut command = Command::new(path_of(example));
        command
            .args(arguments)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.envs([
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "any"),
            ("AWS_SECRET_ACCESS_KEY", "any"),
        ]);
        command.env("AWS_EC2_METADATA_DISABLED", "true");
        Self(Some(change(&mut command).spawn().unwrap()))
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let id = self.0.as_ref().unwrap().id();
        kill_process(Pid::from_raw(id.try_into().unwrap()).unwrap(), signal).unwrap();
    }

    /// Waits for its end.
    pub(crate) async fn finish(mut self) -> Finished {
        let child = self.0.take().unwrap();
        let id = child.id();
        let output = tokio::task::spawn_blocking(move || child.wait_with_output());
        let Ok(output) = tokio::time::timeout(LIMIT, output).await else {
            let _ = kill_process(Pid::from_raw(id.try_into().unwrap()).unwrap(), Signal::KILL);
            panic!("the program did not end");
        };
        let Output {
            status,
            stdout,
            stderr,
        } = output.unwrap().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Finished {
            code: status.code(),
            out: text(stdout),
            err: text(stderr),
        }
    }

    /// Whether it runs still.
    pub(crate) fn is_running(&mut self) -> bool {
        self.0.as_mut().unwrap().try_wait().unwrap().is_none()
    }

    /// Waits until something is so, while the program runs.
    pub(crate) async fn until(&mut self, what: &str, mut is: impl FnMut() -> bool) {
        let begun = Instant::now();
        while !is() {
            assert!(
                self.is_running(),
                "it ended before {what}: {:?}",
                self.0.take().unwrap().wait_with_output()
            );
            assert!(begun.elapsed() < LIMIT, "not in time: {what}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Finished {
    /// The JSON object on the last line of standard output.
    pub(crate) fn summary(&self) -> Value {
        let last = self
            .out
            .lines()
            .last()
            .unwrap_or_else(|| panic!("nothing on standard output: {self:?}"));
        serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// A number of the summary.
    pub(crate) fn number(&self, name: &str) -> u64 {
        self.summary()[name]
            .as_u64()
            .unwrap_or_else(|| panic!("no number `{name}`: {self:?}"))
    }
}

/// Waits until the time of day is another whole second.
pub(crate) async fn next_second() {
    let into = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .subsec_nanos();
    tokio::time::sleep(Duration::from_nanos(1_000_000_000 - u64::from(into))).await;
}

/// Where cargo puts the examples of the profile that this test is built in.
fn path_of(example: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let path = test
        .parent()
        .and_then(|deps| deps.parent())
        .unwrap()
        .join("examples")
        .join(example);
    assert!(
        path.exists(),
        "{path:?} is missing: run `cargo build -p examples --examples` first, or test with \
         --workspace"
    );
    path
}
