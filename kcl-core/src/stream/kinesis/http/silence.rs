use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame};
use tracing::debug;

use crate::Clock;
use crate::model::Moment;

use super::body::PushedBody;
use super::failure::ConnectionFailure;
use super::stream_count::StreamCount;

/// Since when one stream of a connection is listened to and says nothing. Who drops it after too
/// long has given the stream up, and the connection gets no more of them: something on the way may
/// answer for it, pings too, and carry nothing.
#[derive(Debug)]
pub(super) struct Silence {
    /// Of the connection. Closing it ends no stream that is there.
    pub(super) of: Arc<StreamCount>,
    pub(super) clock: Arc<dyn Clock>,
    /// See [`Http2Settings::silent_limit`](super::Http2Settings::silent_limit).
    pub(super) limit: Duration,
    /// `None` while nobody listens, or after something has come.
    pub(super) since: Option<Moment>,
}

impl Silence {
    /// It is listened to, and there is nothing.
    pub(super) fn listened(&mut self) {
        self.since.get_or_insert_with(|| self.clock.now());
    }

    /// There is something, or there will be nothing more.
    pub(super) const fn ended(&mut self) {
        self.since = None;
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        let Some(span) = self
            .since
            .map(|since| self.clock.now().since(since))
            .filter(|span| *span >= self.limit)
        else {
            return;
        };
        let why = format!("a subscription on it heard nothing for {span:.1?}");
        debug!(why, "an HTTP/2 connection gets no more subscriptions");
        self.of.close(&why);
    }
}

/// What comes by a stream of an HTTP/2 connection, with an eye on its silence.
#[derive(Debug)]
pub(super) struct WatchedBody {
    // Before the body: nobody gets its place any more.
    silence: Silence,
    body: PushedBody,
}

impl WatchedBody {
    pub(super) const fn new(body: PushedBody, silence: Silence) -> Self {
        Self { silence, body }
    }
}

impl Body for WatchedBody {
    type Data = Bytes;
    type Error = ConnectionFailure;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ConnectionFailure>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if polled.is_pending() {
            // Only a reader that asked and got nothing makes a silence. One that does not read,
            // because its byte budget is used up, is itself the cause.
            self.silence.listened();
        } else {
            self.silence.ended();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
}

impl Drop for WatchedBody {
    fn drop(&mut self) {
        // Something may have come after it was listened to last: it is who reads that has stopped.
        if self.silence.since.is_some() {
            let _ = Pin::new(self).poll_frame(&mut Context::from_waker(Waker::noop()));
        }
    }
}
