use std::error::Error;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use super::Figures;

/// What has signed the certificate of a server with TLS. The processes trust it by `SSL_CERT_FILE`,
/// as the SDK's client and the worker's do.
pub(super) const AUTHORITY: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../kcl-local/tests/stream/tls/authority.pem"
);

/// The server process; ends with this one.
pub(super) struct Server {
    child: Child,
    pub(super) endpoint: String,
}

impl Server {
    pub(super) fn start(arguments: &[String]) -> Result<Self, Box<dyn Error>> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("server")
            .args(arguments)
            .env("SSL_CERT_FILE", AUTHORITY)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut endpoint = String::new();
        let output = child.stdout.take().ok_or("no output of the server")?;
        BufReader::new(output).read_line(&mut endpoint)?;
        if endpoint.is_empty() {
            return Err("the server did not start".into());
        }
        Ok(Self {
            child,
            endpoint: endpoint.trim().to_owned(),
        })
    }

    pub(super) fn stop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a client process to its end.
pub(super) fn client(
    kind: &str,
    endpoint: &str,
    arguments: &[String],
) -> Result<Figures, Box<dyn Error>> {
    let output = Command::new(std::env::current_exe()?)
        .args([kind, "--endpoint", endpoint])
        .args(arguments)
        .env("SSL_CERT_FILE", AUTHORITY)
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err(format!("the {kind} client failed: {}", output.status).into());
    }
    let text = String::from_utf8(output.stdout)?;
    Ok(text.lines().last().unwrap_or_default().parse()?)
}
