//! `kcl serve` as a process, and what it answers.

use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdout};

use super::program::command;

/// `kcl serve` as it runs; killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) process: Child,
    pub(crate) address: String,
    _lines: Lines<BufReader<ChildStdout>>,
}

/// An answer: its status, its head and its body.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Page {
    pub(crate) async fn start(arguments: &str) -> Self {
        Self::start_in(arguments, Stdio::inherit()).await
    }

    pub(crate) async fn start_in(arguments: &str, errors: Stdio) -> Self {
        let arguments = format!("serve {arguments} --port 0");
        let mut process = command(arguments.split_whitespace())
            .stderr(errors)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let line = lines.next_line().await.unwrap().expect("an address");
        Self {
            process,
            address: line.strip_prefix("http://").unwrap().to_owned(),
            _lines: lines,
        }
    }

    /// Asks with this first line and these headers; the host is the address if none is given.
    pub(crate) async fn ask(&self, line: &str, headers: &[(&str, &str)]) -> Answer {
        self.send(line, headers, "").await
    }

    /// Asks for a change, with this token.
    pub(crate) async fn change(&self, token: &str, body: &Value) -> Answer {
        let bearer = format!("Bearer {token}");
        let headers = [("Authorization", bearer.as_str())];
        self.send("POST /api/change/app", &headers, &body.to_string())
            .await
    }

    pub(crate) async fn send(&self, line: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut connection = TcpStream::connect(&self.address).await.unwrap();
        let mut request = format!("{line} HTTP/1.1\r\nConnection: close\r\n");
        if !headers.iter().any(|(name, _)| *name == "Host") {
            request.push_str(&format!("Host: {}\r\n", self.address));
        }
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() {
            request.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        request.push_str("\r\n");
        request.push_str(body);
        connection.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        connection.read_to_string(&mut text).await.unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        Answer {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            head: head.to_ascii_lowercase(),
            body: body.to_owned(),
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path}"), &[]).await
    }

    pub(crate) async fn json(&self, path: &str) -> Value {
        let answer = self.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        serde_json::from_str(&answer.body).unwrap()
    }

    /// What happened, newest first: kind and sentence.
    pub(crate) async fn happened(&self) -> Vec<(String, String)> {
        let history = self.json("/api/history").await;
        let entries = history["happened"].as_array().unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        entries
            .iter()
            .map(|it| (text(&it["kind"]), text(&it["says"])))
            .collect()
    }

    pub(crate) async fn has_happened(&self, kind: &str) -> bool {
        self.happened().await.iter().any(|(it, _)| it == kind)
    }
}
