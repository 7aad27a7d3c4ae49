use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};
use http_body::{Body, Frame, SizeHint};

use super::message_scanner::MessageScanner;

/// Holds back the long messages of one response until whoever reads it has room for them.
///
/// It goes with the request, as an extension, to an [`Http2Client`](super::Http2Client), which puts
/// it before the body of the response. Other HTTP clients do not know it: then nothing is held
/// back. It is open until it is closed for the first time.
///
/// While it is closed, the body gives no byte of a long message and says instead how long it is. It
/// wakes nobody: who has closed the gate polls the body, and looks here after that.
#[derive(Clone, Debug, Default)]
pub(in crate::stream::kinesis) struct MessageGate(Arc<GateState>);

#[derive(Debug, Default)]
struct GateState {
    /// Whether long messages are held back. Relaxed accesses suffice: the reader that closes the
    /// gate is the one that polls the body, so both are in one task.
    closed: AtomicBool,
    /// The length of the message that is held back; 0 for none.
    held: AtomicUsize,
}

/// Longer messages are held back: an HTTP/2 frame of the usual length. Shorter ones are
/// there as soon as they have begun, and all that many subscriptions could have of them at once is
/// little.
const LONG: usize = 16 << 10;

impl MessageGate {
    /// Long messages are held back from now on, also the one that has begun.
    pub(in crate::stream::kinesis) fn close(&self) {
        self.0.held.store(0, Ordering::Relaxed);
        self.0.closed.store(true, Ordering::Relaxed);
    }

    /// Everything may pass.
    pub(in crate::stream::kinesis) fn open(&self) {
        self.0.closed.store(false, Ordering::Relaxed);
    }

    /// The length in bytes of the message that has been held back since the gate was closed.
    pub(in crate::stream::kinesis) fn held_back(&self) -> Option<usize> {
        Some(self.0.held.load(Ordering::Relaxed)).filter(|length| *length > 0)
    }

    /// Whether a message of this length must wait now; if so, it is noted how long it is.
    fn holds_back(&self, length: usize) -> bool {
        let closed = self.0.closed.load(Ordering::Relaxed);
        if closed {
            self.0.held.store(length, Ordering::Relaxed);
        }
        closed
    }

    /// Whether a response with this head has messages that it can tell from each other.
    pub(super) fn is_for(head: &HeaderMap<HeaderValue>) -> bool {
        head.get(CONTENT_TYPE).is_some_and(|content| {
            content
                .as_bytes()
                .starts_with(b"application/vnd.amazon.eventstream")
        })
    }
}

/// An event stream behind its gate.
///
/// A piece of the body that is held back has been taken from its connection, and its room in the
/// window is given back only when the next piece is asked for: the server sends nothing for it.
#[derive(Debug)]
pub(super) struct Gated<B> {
    /// The body as it comes from the connection.
    body: B,
    /// Closed and opened by whoever reads the events.
    gate: MessageGate,
    /// Where the messages in it begin. It has seen what has passed, not what waits in `rest`.
    borders: MessageScanner,
    /// What was taken from the body and has not passed.
    rest: Bytes,
}

impl<B> Gated<B> {
    /// Puts a gate before a body of which nothing was read.
    pub(super) fn new(body: B, gate: MessageGate) -> Self {
        Self {
            body,
            gate,
            borders: MessageScanner::default(),
            rest: Bytes::new(),
        }
    }

    /// As much of the rest as may pass at once. A long message passes by itself: who reads it up to
    /// its end has nothing of the next one.
    fn passing(&mut self) -> usize {
        let mut passing = 0;
        while passing < self.rest.len() {
            let next = &self.rest[passing..];
            let long = self.borders.length(next).filter(|length| *length > LONG);
            if let Some(length) = long
                && (passing > 0 || self.gate.holds_back(length))
            {
                return passing;
            }
            passing += self.borders.pass(next);
            if long.is_some() {
                return passing;
            }
        }
        passing
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Gated<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        // While a message is held back nothing more is read: that is what makes the window of the
        // stream, and in the end the server, wait.
        while self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(piece) => self.rest = piece,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                over => return Poll::Ready(over),
            }
        }
        match self.passing() {
            0 => Poll::Pending,
            passing => Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(passing))))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        // That of a stream: nobody knows.
        SizeHint::default()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::convert::Infallible;
    use std::task::Waker;

    use super::*;

    /// A body of these pieces.
    struct Pieces(VecDeque<Vec<u8>>);

    impl Body for Pieces {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Ready(
                self.0
                    .pop_front()
                    .map(|piece| Ok(Frame::data(piece.into()))),
            )
        }

        fn is_end_stream(&self) -> bool {
            self.0.is_empty()
        }
    }

    fn message(length: usize) -> Vec<u8> {
        let mut message = u32::try_from(length).unwrap().to_be_bytes().to_vec();
        message.resize(length, 7);
        message
    }

    fn gated(stream: &[u8], piece: usize) -> (Gated<Pieces>, MessageGate) {
        let gate = MessageGate::default();
        (
            Gated::new(
                Pieces(stream.chunks(piece).map(<[u8]>::to_vec).collect()),
                gate.clone(),
            ),
            gate,
        )
    }

    /// What passes now: its length, nothing at the end.
    fn poll(body: &mut Gated<Pieces>) -> Poll<Option<usize>> {
        let polled = Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop()));
        polled.map(|frame| frame.map(|frame| frame.unwrap().into_data().unwrap().len()))
    }

    fn all(body: &mut Gated<Pieces>) -> usize {
        let mut passed = 0;
        while let Poll::Ready(Some(bytes)) = poll(body) {
            passed += bytes;
        }
        passed
    }

    #[test]
    fn a_closed_gate_holds_back_long_messages_and_passes_short_ones() {
        let stream = [
            message(100),
            message(LONG),
            message(LONG + 1),
            message(LONG + 2),
            message(20),
        ]
        .concat();
        for piece in [1, 3, 1000, 16_384, stream.len()] {
            let (mut body, gate) = gated(&stream, piece);
            gate.close();
            let before = all(&mut body);
            // Of a length in parts, all but the last has passed.
            assert!(
                (100 + LONG..100 + LONG + 4).contains(&before),
                "{before} {piece}"
            );
            assert_eq!(gate.held_back(), Some(LONG + 1));
            assert_eq!(poll(&mut body), Poll::Pending);
            gate.open();
            let mut passed = before;
            while passed < 100 + LONG + LONG + 1 {
                let Poll::Ready(Some(bytes)) = poll(&mut body) else {
                    panic!("{passed} {piece}")
                };
                passed += bytes;
            }
            assert_eq!(
                passed,
                100 + LONG + LONG + 1,
                "nothing of the next one with it: {piece}"
            );
            gate.close();
            assert_eq!(gate.held_back(), None);
            assert!(all(&mut body) < 4);
            assert_eq!(gate.held_back(), Some(LONG + 2));
            gate.open();
            all(&mut body);
            assert!(body.is_end_stream());
        }
    }

    #[test]
    fn a_gate_closed_within_a_long_message_holds_back_its_rest() {
        let (mut body, gate) = gated(&message(3 * LONG), 1000);
        assert_eq!(poll(&mut body), Poll::Ready(Some(1000)));
        gate.close();
        assert_eq!(poll(&mut body), Poll::Pending);
        assert_eq!(gate.held_back(), Some(3 * LONG));
        gate.open();
        assert_eq!(all(&mut body), 3 * LONG - 1000);
    }

    #[test]
    fn who_never_closes_the_gate_gets_everything() {
        let stream = [message(5 * LONG), message(16), b"no message".to_vec()].concat();
        let (mut body, gate) = gated(&stream, 777);
        assert_eq!(all(&mut body), stream.len());
        assert_eq!(gate.held_back(), None);
    }
}
