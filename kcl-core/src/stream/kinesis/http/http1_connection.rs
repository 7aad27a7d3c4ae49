use futures_util::FutureExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::unconstrained;

use super::super::page_pool::{PageBuffer, PagePool};
use super::dial::Io;
use super::failure::ConnectionFailure;
use super::http1_answer::{AnswerHead, BodyLength, Http1Answer};
use super::http1_answer::{bounded, chunk_length, trailers, unreadable};

/// A head and a short body come with one read; longer bodies are read into a buffer of their size.
/// The answer for an idle shard is a few hundred bytes.
const FIRST_READ: usize = 2 * 1024;

/// A connection that speaks HTTP/1.1: one call after the other.
#[derive(Debug)]
pub(super) struct Http1Connection {
    /// Nothing of an earlier answer is left in it: such a connection is not kept.
    io: Box<dyn Io>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Broken {
    /// The connection ended before anything of an answer came.
    BeforeAnswer(ConnectionFailure),
    /// It ended, or what came is none.
    InAnswer(ConnectionFailure),
}

impl Http1Connection {
    /// A connection by which nothing was sent.
    pub(super) const fn new(io: Box<dyn Io>) -> Self {
        Self { io }
    }

    /// Whether it may be used again: the other side has neither closed it nor sent what nobody
    /// asked for.
    pub(super) fn is_quiet(&mut self) -> bool {
        // Whatever else the task has done: without a share of the runtime's time left, a read says
        // that there is nothing, though there is.
        unconstrained(self.io.read(&mut [0]))
            .now_or_never()
            .is_none()
    }

    /// Sends a request, head and body, and waits for the answer to it. Gives the connection back if
    /// it takes another.
    ///
    /// Dropping the future closes it: an answer that nobody has read would otherwise be taken for
    /// that to the next request, and its records for those of another shard.
    pub(super) async fn exchange(
        mut self,
        request: &[u8],
        pages: &PagePool,
    ) -> Result<(Http1Answer, Option<Self>), Broken> {
        let lost = |error| Broken::BeforeAnswer(ConnectionFailure::broken("no answer", error));
        self.io.write_all(request).await.map_err(lost)?;
        // TLS may keep what the socket did not take at once.
        self.io.flush().await.map_err(lost)?;
        let mut read = Vec::with_capacity(FIRST_READ);
        let (head, length) = loop {
            match self.io.read_buf(&mut read).await {
                // The usual end of a connection that was kept: the server closed it when it was
                // idle. The caller sends the request by another one.
                Ok(0) if read.is_empty() => {
                    return Err(lost(std::io::ErrorKind::UnexpectedEof.into()));
                }
                Err(error) if read.is_empty() => return Err(lost(error)),
                Ok(0) => return Err(Broken::InAnswer(cut())),
                Err(error) => return Err(Broken::InAnswer(broken(error))),
                Ok(_) => {}
            }
            if let Some(found) = AnswerHead::parse(&read).map_err(Broken::InAnswer)? {
                break found;
            }
            read.reserve(FIRST_READ);
        };
        read.drain(..length);
        let body = self
            .body(head.body, read, pages)
            .await
            .map_err(Broken::InAnswer)?;
        let (body, rest) = body;
        // Bytes after the body were not asked for. They would be taken for the next answer.
        let reusable = head.keeps_alive && rest == 0;
        let answer = Http1Answer {
            head,
            body: body.freeze(),
        };
        Ok((answer, reusable.then_some(self)))
    }

    /// The body that begins with what was read already, and how many bytes came after it.
    async fn body(
        &mut self,
        length: BodyLength,
        mut read: Vec<u8>,
        pages: &PagePool,
    ) -> Result<(PageBuffer, usize), ConnectionFailure> {
        match length {
            BodyLength::Known(length) if length <= read.len() => {
                let rest = read.len() - length;
                read.truncate(length);
                Ok((PageBuffer::own(read), rest))
            }
            BodyLength::Known(length) => {
                // The length is the server's word, and was checked against the longest body that is
                // read. The buffer is of that size at once, so the payloads of a page in CBOR stay
                // where they were received.
                let mut body = pages.buffer(length);
                body.data.extend_from_slice(&read);
                self.fill(&mut body.data, length).await?;
                Ok((body, 0))
            }
            BodyLength::Chunked => {
                let (body, rest) = self.chunks(read).await?;
                Ok((PageBuffer::own(body), rest))
            }
            BodyLength::UntilClosed => {
                // Whether it is all cannot be told from this: the end of a connection is also what
                // a crash looks like. A page that was cut off so is refused by its own grammar.
                while self.io.read_buf(&mut read).await.map_err(broken)? > 0 {
                    bounded(read.len())?;
                }
                Ok((PageBuffer::own(read), 0))
            }
        }
    }

    /// The body of an answer in chunks, and how many bytes came after it. Only servers for tests
    /// send it: the service says the length.
    async fn chunks(&mut self, mut read: Vec<u8>) -> Result<(Vec<u8>, usize), ConnectionFailure> {
        let mut body = Vec::new();
        loop {
            let (from, length) = loop {
                match chunk_length(&read)? {
                    Some(found) => break found,
                    None => self.more(&mut read).await?,
                }
            };
            read.drain(..from);
            if length == 0 {
                break;
            }
            // Added up: each chunk may be short, and all of them together without an end.
            bounded(body.len() + length)?;
            let there = length.min(read.len());
            let end = body.len() + length;
            body.reserve(length);
            body.extend(read.drain(..there));
            self.fill(&mut body, end).await?;
            while read.len() < 2 {
                self.more(&mut read).await?;
            }
            if !read.starts_with(b"\r\n") {
                return Err(unreadable("a chunk is longer than it says"));
            }
            read.drain(..2);
        }
        let end = loop {
            match trailers(&read)? {
                Some(end) => break end,
                None => self.more(&mut read).await?,
            }
        };
        Ok((body, read.len() - end))
    }

    /// Reads on until so many bytes are there, and no further.
    async fn fill(&mut self, body: &mut Vec<u8>, length: usize) -> Result<(), ConnectionFailure> {
        while body.len() < length {
            let missing = (length - body.len()) as u64;
            if (&mut self.io)
                .take(missing)
                .read_buf(body)
                .await
                .map_err(broken)?
                == 0
            {
                return Err(cut());
            }
        }
        Ok(())
    }

    /// Reads what is there; that nothing more comes is an error.
    async fn more(&mut self, read: &mut Vec<u8>) -> Result<(), ConnectionFailure> {
        match self.io.read_buf(read).await.map_err(broken)? {
            0 => Err(cut()),
            _ => Ok(()),
        }
    }
}

/// The socket failed in the middle of an answer.
fn broken(error: std::io::Error) -> ConnectionFailure {
    ConnectionFailure::broken("the answer broke off", error)
}

/// The connection was closed in the middle of an answer.
fn cut() -> ConnectionFailure {
    ConnectionFailure::broken("the answer broke off", "the connection was closed")
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Poll;

    use tokio::io::duplex;
    use tokio::sync::mpsc;

    use super::*;

    /// A task that has done much may not take a closed connection, or one with an answer that nobody
    /// asked for, for a quiet one.
    #[tokio::test]
    async fn a_busy_task_sees_what_has_come_by_a_kept_connection() {
        let (near, mut far) = duplex(100);
        let mut connection = Http1Connection::new(Box::new(near));
        assert!(connection.is_quiet());
        far.write_all(b"HTTP/1.1 408 Late\r\n\r\n").await.unwrap();
        let (give, mut take) = mpsc::unbounded_channel();
        (0..10_000).for_each(|number| give.send(number).unwrap());
        let is_quiet = poll_fn(|cx| {
            // Until the runtime says that it is the turn of others.
            while take.poll_recv(cx).is_ready() {}
            Poll::Ready(connection.is_quiet())
        });
        assert!(!is_quiet.await);
        assert!(!take.is_empty(), "the task has been stopped before the end");
    }
}
