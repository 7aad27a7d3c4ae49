//! ferrokinesis as it is.

use ferrokinesis::store::StoreOptions;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// A server with its settings by default, until it is dropped.
pub(crate) struct Server {
    pub(crate) endpoint: String,
    _serving: JoinSet<()>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let (app, _) = ferrokinesis::create_app(StoreOptions::default());
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (connection, _) = listener.accept().await.expect("a connection");
                let service = TowerToHyperService::new(app.clone());
                connections.spawn(async move {
                    // HTTP/1.1 or HTTP/2, by its first bytes. One that the client breaks off is no
                    // fault.
                    let http = Builder::new(TokioExecutor::new());
                    drop(
                        http.serve_connection(TokioIo::new(connection), service)
                            .await,
                    );
                });
            }
        });
        Self {
            endpoint,
            _serving: serving,
        }
    }
}
