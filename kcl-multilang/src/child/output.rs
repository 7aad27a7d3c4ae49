//! What a child writes: messages on its standard output, and everything else for the log.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use kcl_core::processor::ShardRef;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::sync::mpsc;

use crate::protocol::{Line, Lines, Said};
use crate::runtime::within;

/// How much is read at once: what a pipe holds on Linux, so that a child which has filled it goes
/// on after one read.
const PIECE: usize = 64 * 1024;
/// How long the beginning of a line of standard error is kept before it is logged without its end.
/// The sample of the Python library writes its log without any.
const UNFINISHED: Duration = Duration::from_millis(500);

/// Whose output it is, in the log.
#[derive(Clone, Debug)]
pub(crate) struct Label {
    /// The process id.
    pub(crate) pid: u32,
    /// Set when the child gets its shard: it may have been started before.
    pub(crate) shard: Arc<OnceLock<ShardRef>>,
}

/// The shard's id, for the log.
struct Of<'a>(&'a Label);

impl fmt::Display for Of<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.shard.get() {
            Some(shard) => shard.shard.fmt(f),
            None => f.write_str("-"),
        }
    }
}

impl Label {
    /// Logs a line of the child. It is the user's own output, so it is logged as it is, except for
    /// bytes that are not UTF-8.
    fn log(&self, from: &'static str, text: &[u8]) {
        let text = String::from_utf8_lossy(text.trim_ascii_end());
        if !text.is_empty() {
            tracing::info!(target: "child", shard = %Of(self), pid = self.pid, from, "{text}");
        }
    }
}

/// Reads the messages of a child until it closes its standard output. It is read at all times, also
/// while nothing is asked: one of the libraries fails if its output is not taken.
pub(crate) async fn read_messages(
    mut from: impl AsyncRead + Unpin,
    label: Label,
    messages: mpsc::Sender<Said>,
) {
    let (mut piece, mut lines) = (vec![0; PIECE], Lines::default());
    let mut said = Vec::new();
    loop {
        // An error of the pipe is its end: nothing more can be read from it.
        let length = from.read(&mut piece).await.unwrap_or(0);
        let mut each = |line: Line<'_>| {
            let (Line::Whole(text) | Line::TooLong(text)) = line;
            match Said::read(line) {
                Said::Output => label.log("stdout", text),
                Said::NotUnderstood(why) => tracing::warn!(
                    target: "child",
                    shard = %Of(&label),
                    pid = label.pid,
                    "{why} was passed over: the child may wait for an answer"
                ),
                message => said.push(message),
            }
        };
        if length == 0 {
            lines.finish(&mut each);
        } else {
            lines.take(&piece[..length], &mut each);
        }
        // Sent after the piece is taken apart, because `each` cannot wait. While the channel is
        // full the pipe is not read, so a child that floods the daemon with messages waits.
        for message in said.drain(..) {
            if messages.send(message).await.is_err() {
                // Nobody hears the child any more: it is being ended.
                return;
            }
        }
        if length == 0 {
            return;
        }
    }
}

/// Logs the standard error of a child until it closes it.
pub(crate) async fn log_errors(mut from: impl AsyncRead + Unpin, label: Label) {
    let (mut piece, mut lines) = (vec![0; PIECE], Lines::default());
    let mut each = |line: Line<'_>| {
        let (Line::Whole(text) | Line::TooLong(text)) = line;
        label.log("stderr", text);
    };
    loop {
        let read = if lines.has_begun() {
            // Reading is cancel safe.
            within(UNFINISHED, from.read(&mut piece)).await
        } else {
            Some(from.read(&mut piece).await)
        };
        match read {
            None => lines.take_begun(&mut each),
            Some(Ok(0) | Err(_)) => return lines.finish(&mut each),
            Some(Ok(length)) => lines.take(&piece[..length], &mut each),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn messages_are_told_from_output() {
        let text: &[u8] = b"partial\n{\"action\": \"status\", \"responseFor\": \"initialize\"}\nplain\n\n\
            {\"action\":\"checkpoint\",\"msg\":1}\n{\"action\":\"status\",\"responseFor\":\"leaseLost\"}";
        let label = Label {
            pid: 1,
            shard: Arc::default(),
        };
        let (messages, mut inbox) = mpsc::channel(8);
        read_messages(text, label, messages).await;
        let mut said = Vec::new();
        while let Some(message) = inbox.recv().await {
            said.push(message);
        }
        use crate::protocol::Action;
        assert_eq!(
            said,
            [
                Said::Done(Action::Initialize),
                Said::Done(Action::LeaseLost)
            ]
        );
    }
}
