//! `serve`: what is answered by HTTP, and to whom.

use std::time::Duration;

use kcl_core::MemoryStream;
use kcl_core::model::Checkpoint;
use kcl_core::{Clock as _, SystemClock};
use kcl_local::stream::LocalStream;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::Command;

use super::page::Page;
use super::program::kcl;
use super::scene::{Scene, Server, lease, until};

#[tokio::test]
async fn a_join_a_hand_over_and_a_kill_are_seen_as_they_happen() {
    let (scene, stream) = (Scene::new().await, MemoryStream::new("orders", 4));
    let first = scene.start("first", &stream, 4).await;
    let page = Page::start(&format!(
        "app --table {} --no-lag --every 200ms",
        scene.place()
    ))
    .await;
    assert_eq!(page.happened().await, []);
    let second = scene.start("second", &stream, 2).await;
    until("seeing the join and the hand-over", async || {
        page.has_happened("joined").await && page.has_happened("handed_over").await
    })
    .await;
    until("judging both alive", async || {
        let workers = page.json("/api/workers/app").await;
        let lives = workers["workers"].as_array().unwrap();
        lives.iter().filter(|it| it["life"] == "alive").count() == 2
    })
    .await;
    second.die().await;
    until("seeing the death and the take-over", async || {
        page.has_happened("died").await && page.has_happened("taken_over").await
    })
    .await;
    until("counting both leases", async || {
        let metrics = page.get("/metrics").await.body;
        metrics.contains("kcl_fleet_take_overs_total{application=\"app\"} 2")
            && metrics
                .contains("kcl_fleet_leases{application=\"app\",owner=\"first\",state=\"held\"} 4")
    })
    .await;
    first.die().await;
}

/// What a script has learnt of `--json` holds of the API.
#[tokio::test]
async fn the_api_has_the_shapes_of_the_commands() {
    let (scene, stream) = (Scene::new().await, LocalStream::start().await.unwrap());
    stream.create("orders", 2).await.unwrap();
    stream.put("orders", "k", "data").await.unwrap();
    let source = stream.source("orders").unwrap();
    let worker = scene.start("first", &source, 2).await;
    let at = format!("--endpoint {}", stream.endpoint());
    let page = Page::start(&format!(
        "app --table {} {at} --lag-every 1s",
        scene.place()
    ))
    .await;
    until("measuring the lag", async || {
        page.get("/api/lag").await.status == 200
    })
    .await;
    let fields = |value: &Value| -> Vec<String> {
        let mut names: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
        names.sort();
        names
    };
    for (path, command) in [
        ("status", "status app"),
        ("workers", "workers app"),
        ("leases", "leases app"),
        ("check", "check app"),
        ("cost", "cost app"),
        ("lag", "lag app"),
        ("shards", "shards orders"),
    ] {
        let place = if path == "shards" {
            String::new()
        } else {
            format!("--table {}", scene.place())
        };
        let asked = if matches!(path, "lag" | "shards") {
            at.as_str()
        } else {
            ""
        };
        let said = kcl(&format!("{command} {place} {asked} --json"))
            .await
            .json(0);
        let served = page.json(&format!("/api/{path}")).await;
        assert_eq!(fields(&served), fields(&said), "{path}");
        let list = |value: &Value| {
            value[path]
                .as_array()
                .and_then(|it| it.first())
                .map(&fields)
        };
        assert_eq!(list(&served), list(&said), "{path}");
    }
    let tree = page.json("/api/tree?limit=1").await;
    assert_eq!(
        (&tree["found"], tree["lines"].as_array().unwrap().len()),
        (&json!(2), 1)
    );
    assert_eq!(page.get("/api/tree?state=lost").await.status, 400);
    let scale = page.json("/scale/app").await;
    assert_eq!(
        (&scale["wanted_workers"], &scale["readable_leases"]),
        (&json!(1), &json!(2))
    );
    let metrics = page.get("/metrics").await.body;
    assert!(
        metrics.contains("kcl_fleet_wanted_workers{application=\"app\"} 1"),
        "{metrics}"
    );
    assert!(
        metrics.contains("kcl_fleet_lease_behind_seconds"),
        "{metrics}"
    );
    assert_eq!(page.get("/healthz").await.status, 200);
    assert_eq!(page.get("/api/status/other").await.status, 404);
    worker.die().await;
}

/// A page elsewhere whose name suddenly resolves to loopback, or that posts a form.
#[tokio::test]
async fn foreign_hosts_origins_and_writes_are_refused() {
    let scene = Scene::new().await;
    scene
        .create(&[lease("shardId-0", Checkpoint::Latest)])
        .await;
    let arguments = format!(
        "app --table {} --no-lag --allow-host kcl.example",
        scene.place()
    );
    let page = Page::start(&arguments).await;
    let port = page.address.rsplit(':').next().unwrap();
    for path in ["/", "/api/status", "/metrics", "/healthz", "/api/live"] {
        let answer = page
            .ask(&format!("GET {path}"), &[("Host", "evil.example")])
            .await;
        assert_eq!(answer.status, 403, "{path}: {answer:?}");
        assert!(!answer.body.contains("shardId-0"), "{answer:?}");
    }
    for host in [
        "localhost",
        &format!("localhost:{port}"),
        "kcl.example",
        "[::1]",
    ] {
        let answer = page.ask("GET /api/status", &[("Host", host)]).await;
        assert_eq!(answer.status, 200, "{host}: {answer:?}");
    }
    let foreign = [("Origin", "http://evil.example")];
    assert_eq!(page.ask("GET /api/status", &foreign).await.status, 403);
    let own = format!("http://{}", page.address);
    assert_eq!(
        page.ask("GET /api/status", &[("Origin", &own)])
            .await
            .status,
        200
    );
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
        for path in ["/", "/api/leases", "/api/nothing"] {
            let answer = page.ask(&format!("{method} {path}"), &[]).await;
            assert_eq!(answer.status, 405, "{method} {path}: {answer:?}");
        }
    }
    assert_eq!(page.get("/api/pause").await.status, 404);
    let text = page.get("/").await;
    assert!(text.head.contains("default-src 'none'"), "{}", text.head);
    assert!(
        text.body
            .contains("<script type=\"module\" src=\"/page.js\">")
    );
}

/// Nothing of the page is from elsewhere: it works offline.
#[tokio::test]
async fn each_file_of_the_page_is_served_and_names_no_other_host() {
    let scene = Scene::new().await;
    scene
        .create(&[lease("shardId-0", Checkpoint::Latest)])
        .await;
    let page = Page::start(&format!("app --table {} --no-lag", scene.place())).await;
    for (path, kind) in [
        ("/", "text/html"),
        ("/page.css", "text/css"),
        ("/page.js", "text/javascript"),
        ("/chart.js", "text/javascript"),
        ("/draw.js", "text/javascript"),
        ("/letters.js", "text/javascript"),
        ("/shards.js", "text/javascript"),
        ("/change.js", "text/javascript"),
        ("/icon.svg", "image/svg+xml"),
    ] {
        let answer = page.get(path).await;
        assert_eq!(answer.status, 200, "{path}");
        assert!(
            answer.head.contains(&format!("content-type: {kind}")),
            "{answer:?}"
        );
        let text = answer.body.replace("http://www.w3.org/2000/svg", "");
        assert!(!text.contains("://"), "{path} names another host");
    }
}

/// However many ask, there is one scan a look.
#[tokio::test]
async fn the_table_is_asked_by_one_observer_at_its_pace() {
    let server = Server::start().await;
    let table = server.table().await;
    let created = lease("shardId-0", Checkpoint::Latest);
    kcl_core::lease::LeaseTable::create(&table, &created)
        .await
        .unwrap();
    let page = Page::start(&format!(
        "app --table {} --no-lag --every 10m",
        server.place()
    ))
    .await;
    let before = server.asked();
    for _ in 0..20 {
        for path in [
            "/api/status",
            "/api/tree",
            "/api/check",
            "/metrics",
            "/scale",
            "/",
        ] {
            assert_eq!(page.get(path).await.status, 200, "{path}");
        }
    }
    assert!(before > 0);
    assert_eq!(server.asked(), before);
}

#[tokio::test]
async fn a_table_that_cannot_be_read_is_said_and_not_scaled_by() {
    let (scene, stream) = (Scene::new().await, MemoryStream::new("orders", 1));
    let worker = scene.start("first", &stream, 1).await;
    let page = Page::start(&format!(
        "app --table {} --no-lag --every 200ms",
        scene.place()
    ))
    .await;
    assert_eq!(page.get("/healthz").await.status, 200);
    worker.die().await;
    scene.sql("ALTER TABLE leases RENAME TO elsewhere");
    until("missing the table", async || {
        page.get("/healthz").await.status == 503
    })
    .await;
    let refused = page.get("/scale").await;
    assert_eq!(refused.status, 503);
    assert!(
        refused.body.contains("cannot read the lease table"),
        "{refused:?}"
    );
    assert!(
        page.get("/metrics")
            .await
            .body
            .contains("kcl_fleet_up{application=\"app\"} 0")
    );
    assert_eq!(
        page.json("/api/status").await["leases"],
        1,
        "as it was before"
    );
    scene.sql("ALTER TABLE elsewhere RENAME TO leases");
    until("finding it again", async || {
        page.get("/healthz").await.status == 200
    })
    .await;
}

#[tokio::test]
async fn a_port_that_is_taken_and_a_wrong_name_are_clear_errors() {
    let scene = Scene::new().await;
    scene
        .create(&[lease("shardId-0", Checkpoint::Latest)])
        .await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let serve = format!("serve app --table {} --no-lag", scene.place());
    kcl(&format!("{serve} --port {port}")).await.complains(
        3,
        &["cannot listen on 127.0.0.1:", "the port is taken", "--port"],
    );
    kcl(&format!("serve other --table {} --port 0", scene.place()))
        .await
        .complains(
            3,
            &["no rows of the application `other`", "it has rows of: app"],
        );
    kcl(&format!("serve app app --table {} --port 0", scene.place()))
        .await
        .complains(3, &["`app` was given twice"]);
    kcl(&format!("{serve} --allow-host http://x"))
        .await
        .complains(2, &["expected a host name"]);
}

/// An open page does not keep it from ending.
#[cfg(unix)]
#[tokio::test]
async fn a_signal_ends_it_in_good_order_while_pages_are_open() {
    let scene = Scene::new().await;
    scene
        .create(&[lease("shardId-0", Checkpoint::Latest)])
        .await;
    let mut page = Page::start(&format!("app --table {} --no-lag", scene.place())).await;
    let mut open = TcpStream::connect(&page.address).await.unwrap();
    let request = format!("GET /api/live HTTP/1.1\r\nHost: {}\r\n\r\n", page.address);
    open.write_all(request.as_bytes()).await.unwrap();
    let mut seen = String::new();
    while !seen.contains("data: {\"application\":\"app\"") {
        let mut part = [0; 4096];
        let read = open.read(&mut part).await.unwrap();
        assert!(read > 0, "{seen}");
        seen.push_str(&String::from_utf8_lossy(&part[..read]));
    }
    let id = page.process.id().unwrap().to_string();
    let sent = SystemClock.now();
    let killed = Command::new("kill")
        .args(["-INT", &id])
        .status()
        .await
        .unwrap();
    assert!(killed.success());
    let ended = page.process.wait().await.unwrap();
    assert_eq!(ended.code(), Some(0));
    let took = SystemClock.now().since(sent);
    assert!(took < Duration::from_secs(10), "{took:?}");
    let mut rest = Vec::new();
    open.read_to_end(&mut rest).await.unwrap();
    assert!(
        rest.ends_with(b"0\r\n\r\n"),
        "the stream of the page was cut off"
    );
}
