//! A server that speaks HTTP/1.1 and nothing else.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader,
};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

pub(crate) struct Http1Server {
    pub(crate) at: SocketAddr,
    connections: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Http1Server {
    /// Answers each request with these messages, and leaves the answer open.
    pub(crate) async fn start(tls: Option<TlsAcceptor>, messages: Vec<Bytes>) -> Self {
        Self::start_with(tls, false, messages).await
    }

    /// The same, and who begins with HTTP/2 is not told that there is none: he is told nothing.
    pub(crate) async fn start_silent(messages: Vec<Bytes>) -> Self {
        Self::start_with(None, true, messages).await
    }

    async fn start_with(tls: Option<TlsAcceptor>, silent: bool, messages: Vec<Bytes>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut served = JoinSet::new();
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                counted.fetch_add(1, Ordering::Relaxed);
                let (tls, messages) = (tls.clone(), messages.clone());
                served.spawn(async move {
                    let _ = match tls {
                        None => serve(socket, silent, messages).await,
                        Some(tls) => match tls.accept(socket).await {
                            Ok(socket) => serve(socket, silent, messages).await,
                            Err(error) => Err(error),
                        },
                    };
                });
            }
        });
        Self {
            at,
            connections,
            _tasks: tasks,
        }
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

async fn serve(
    io: impl AsyncRead + AsyncWrite + Unpin,
    silent: bool,
    messages: Vec<Bytes>,
) -> std::io::Result<()> {
    let mut io = BufReader::new(io);
    let mut line = String::new();
    io.read_line(&mut line).await?;
    if silent && line.trim_end() == "PRI * HTTP/2.0" {
        return io.read_to_end(&mut Vec::new()).await.map(drop);
    }
    if line.trim_end() != "POST / HTTP/1.1" {
        return io
            .write_all(
                b"HTTP/1.1 505 HTTP Version Not Supported\r\nContent-Length: \
            0\r\nConnection: close\r\n\r\n",
            )
            .await;
    }
    let (mut length, mut hosts) = (0, 0);
    loop {
        line.clear();
        io.read_line(&mut line).await?;
        let header = line.trim_end().to_ascii_lowercase();
        match header.split_once(": ") {
            Some(("content-length", value)) => length = value.parse().unwrap(),
            Some(("host", _)) => hosts += 1,
            Some(_) => {}
            None => break,
        }
    }
    assert_eq!(hosts, 1, "HTTP/1.1 asks for one host");
    io.read_exact(&mut vec![0; length]).await?;
    io.write_all(
        b"HTTP/1.1 200 OK\r\nContent-Type: \
        application/vnd.amazon.eventstream\r\nTransfer-Encoding: chunked\r\n\r\n",
    )
    .await?;
    for message in messages {
        io.write_all(format!("{:x}\r\n", message.len()).as_bytes())
            .await?;
        io.write_all(&message).await?;
        io.write_all(b"\r\n").await?;
    }
    io.flush().await?;
    // Until the client closes it.
    io.read_to_end(&mut Vec::new()).await.map(drop)
}
