//! A run of `kcl`.

use std::ffi::OsStr;
use std::process::Stdio;

use serde_json::Value;
use tokio::process::Command;

/// What a run left behind.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// `kcl` with these arguments, in an environment of its own. What it writes to standard output is read
/// here, and it is killed when it is dropped.
pub(crate) fn command(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kcl"));
    command.args(arguments).stdout(Stdio::piped());
    environment(&mut command);
    command
}

/// Gives a program an environment of its own, with credentials for any endpoint, and has it killed
/// when it is dropped.
pub(crate) fn environment(command: &mut Command) {
    command
        .env_clear()
        .envs([
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "any"),
            ("AWS_SECRET_ACCESS_KEY", "any"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ])
        .kill_on_drop(true);
}

/// Runs `kcl` with these arguments, separated by spaces, in an environment of its own.
pub(crate) async fn kcl(arguments: &str) -> Finished {
    kcl_with(arguments.split_whitespace()).await
}

/// The same with arguments that may hold spaces.
pub(crate) async fn kcl_with(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Finished {
    let mut command = command(arguments);
    command.stdin(Stdio::null()).stderr(Stdio::piped());
    let output = command.output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Finished {
        code: output.status.code().unwrap(),
        out: text(output.stdout),
        err: text(output.stderr),
    }
}

impl Finished {
    /// Its output, which is JSON; it has to have ended with this code.
    pub(crate) fn json(&self, code: i32) -> Value {
        assert_eq!(self.code, code, "{self:?}");
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// It ended with this code, and its output has all of this.
    pub(crate) fn says(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, code, "{self:?}");
        for word in words {
            assert!(self.out.contains(word), "`{word}` is not in: {self:?}");
        }
    }

    /// It failed with this code, and standard error has all of this.
    pub(crate) fn complains(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, code, "{self:?}");
        for word in words {
            assert!(self.err.contains(word), "`{word}` is not in: {self:?}");
        }
    }
}
