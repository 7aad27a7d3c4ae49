use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{Reason, RecvStream};
use http_body::{Body, Frame};

use super::connection::StreamPermit;
use super::failure::ConnectionFailure;

/// What comes by a stream of an HTTP/2 connection. Dropping it resets the stream.
///
/// The server may send more when the piece behind a piece is asked for, and not before: who does not
/// read holds up no more than a window, the piece that it has taken included.
#[derive(Debug)]
pub(super) struct PushedBody {
    stream: RecvStream,
    /// The length of the piece that was taken last, whose room the server has not got back.
    owed: usize,
    // After the stream: it is reset before its place is another's.
    place: StreamPermit,
}

impl PushedBody {
    /// A response whose head has come.
    pub(super) const fn new(stream: RecvStream, place: StreamPermit) -> Self {
        Self {
            stream,
            owed: 0,
            place,
        }
    }
}

impl Body for PushedBody {
    type Data = Bytes;
    type Error = ConnectionFailure;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ConnectionFailure>>> {
        let owed = std::mem::take(&mut self.owed);
        if owed > 0 {
            // It fails when the stream has ended, and then nobody needs the room.
            let _ = self.stream.flow_control().release_capacity(owed);
        }
        let piece = match ready!(self.stream.poll_data(cx)) {
            Some(Ok(piece)) => piece,
            // What ends like this is complete: the server just wants no more of the request.
            Some(Err(error)) if error.is_reset() && error.reason() == Some(Reason::NO_ERROR) => {
                return Poll::Ready(None);
            }
            Some(Err(error)) => {
                return Poll::Ready(Some(Err(self.place.lost("the response broke off", error))));
            }
            None => return Poll::Ready(None),
        };
        self.owed = piece.len();
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.stream.is_end_stream()
    }
}
