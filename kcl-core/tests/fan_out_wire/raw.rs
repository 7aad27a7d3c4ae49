//! The other side of a connection, frame by frame: what no server does of its own will.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::client::soon;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;

pub(crate) const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

pub(crate) const NO_ERROR: u32 = 0;
pub(crate) const INTERNAL_ERROR: u32 = 2;

pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

pub(crate) struct Raw {
    socket: TcpStream,
}

pub(crate) struct Listening(TcpListener);

impl Listening {
    pub(crate) async fn new() -> (Self, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        (Self(listener), at)
    }

    /// A connection that has said that it speaks HTTP/2, and was told that we do too.
    pub(crate) async fn accept(&self) -> Raw {
        let (socket, _) = soon(self.0.accept()).await.unwrap();
        socket.set_nodelay(true).unwrap();
        let mut raw = Raw { socket };
        let mut preface = [0; 24];
        soon(raw.socket.read_exact(&mut preface)).await.unwrap();
        assert_eq!(&preface, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        raw.send(SETTINGS, 0, 0, &[]).await;
        raw
    }

    /// A connection with a request on it that has been granted, by the head of an answer: its
    /// stream.
    pub(crate) async fn granted(&self) -> (Raw, u32) {
        let mut raw = self.accept().await;
        let on = raw.request().await.unwrap();
        raw.head(on).await;
        (raw, on)
    }

    /// A connection that nothing is said to.
    pub(crate) async fn accept_in_silence(&self) -> TcpStream {
        soon(self.0.accept()).await.unwrap().0
    }
}

impl Raw {
    pub(crate) async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut frame = vec![length[1], length[2], length[3], kind, flags];
        frame.extend_from_slice(&stream.to_be_bytes());
        frame.extend_from_slice(payload);
        // Whether it arrives is the client's to say.
        let _ = self.socket.write_all(&frame).await;
    }

    /// The next frame; nothing when the client has closed the connection.
    pub(crate) async fn frame(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.socket.read_exact(&mut head).await.ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        self.socket.read_exact(&mut payload).await.ok()?;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        Some(Frame {
            kind: head[3],
            flags: head[4],
            stream,
            payload,
        })
    }

    /// Answers settings and pings until a request is there whole: its stream. Nothing when the
    /// client has closed the connection.
    pub(crate) async fn request(&mut self) -> Option<u32> {
        loop {
            let frame = self.frame().await?;
            self.acknowledge(&frame).await;
            if frame.kind == DATA && frame.flags & END_STREAM != 0 {
                return Some(frame.stream);
            }
        }
    }

    /// Answers settings and pings as long as the client is there.
    pub(crate) async fn be_polite(&mut self) {
        while let Some(frame) = self.frame().await {
            self.acknowledge(&frame).await;
        }
    }

    async fn acknowledge(&mut self, frame: &Frame) {
        if (frame.kind == SETTINGS || frame.kind == PING) && frame.flags & ACK == 0 {
            let payload = if frame.kind == PING {
                frame.payload.as_slice()
            } else {
                &[]
            };
            self.send(frame.kind, ACK, 0, payload).await;
        }
    }

    /// The head of an answer of status 200: number 8 of the static table of header compression.
    pub(crate) async fn head(&mut self, stream: u32) {
        self.send(HEADERS, END_HEADERS, stream, &[0x88]).await;
    }

    pub(crate) async fn data(&mut self, stream: u32, bytes: &[u8]) {
        self.send(DATA, 0, stream, bytes).await;
    }

    pub(crate) async fn reset(&mut self, stream: u32, reason: u32) {
        self.send(RST_STREAM, 0, stream, &reason.to_be_bytes())
            .await;
    }

    pub(crate) async fn go_away(&mut self, last: u32, reason: u32) {
        let payload = [last.to_be_bytes(), reason.to_be_bytes()].concat();
        self.send(GOAWAY, 0, 0, &payload).await;
    }

    /// Ends the connection properly, as far as TCP goes.
    pub(crate) async fn close(mut self) {
        let _ = self.socket.shutdown().await;
        while let Ok(1..) = self.socket.read(&mut [0; 1024]).await {}
    }
}
