//! `serve --dead-letters`: what handlers gave up.

use kcl_core::handler::{JsonLines, RecordContext, Retries, by_key};
use kcl_core::model::Record;
use kcl_core::{BoxError, MemoryStream, RecordHandler, Worker};
use serde_json::json;

use super::page::Page;
use super::program::kcl;
use super::scene::{Scene, until};

struct NoNumber;

impl RecordHandler for NoNumber {
    async fn handle(&self, _: &Record, _: &RecordContext) -> Result<(), BoxError> {
        Err("no number".into())
    }
}

/// A worker writes them, and the page shows them without what is in the records.
#[tokio::test]
async fn dead_letters_are_shown_without_their_records() {
    let (scene, stream) = (Scene::new().await, MemoryStream::new("orders", 1));
    for number in 0..3 {
        stream
            .put("a-secret-key", format!("a-secret-{number}"))
            .unwrap();
    }
    let file = scene.folder.path().join("dead.jsonl");
    let place = format!("--table {} --no-lag", scene.place());
    let letters = JsonLines::append(&file).unwrap();
    let worker = Worker::builder()
        .stream("orders")
        .source(stream)
        .application("app")
        .lease_table(scene.table.clone())
        .until_caught_up()
        .processor(by_key(1, NoNumber).retries(Retries::attempts(2).dead_letter(letters)))
        .build()
        .unwrap();
    worker.run().await.unwrap();

    let page = Page::start(&format!("app {place}")).await;
    assert_eq!(page.get("/api/dead-letters").await.status, 404);
    let (missing, shown) = (scene.folder.path().join("none.jsonl"), file.display());
    let page = Page::start(&format!(
        "app {place} --dead-letters {shown} --dead-letters {}",
        missing.display()
    ))
    .await;
    until("the letters", async || {
        page.json("/api/dead-letters").await["letters"] == 3
    })
    .await;
    let answer = page.get("/api/dead-letters").await.body;
    // Neither the keys nor the data, which are in Base64.
    let file = std::fs::read_to_string(&file).unwrap();
    assert!(file.contains("a-secret-key") && file.contains("YS1zZWNyZXQt"));
    assert!(
        !answer.contains("secret") && !answer.contains("YS1zZWNyZXQt"),
        "{answer}"
    );
    let document = page.json("/api/dead-letters").await;
    let newest = &document["newest"][0];
    assert_eq!(
        (&newest["why"], &newest["attempts"], &newest["error"]),
        (&json!("attempts_exhausted"), &json!(2), &json!("no number"))
    );
    assert_eq!(document["files"][0]["letters"], json!(3));
    assert_eq!(
        document["files"][1]["error"],
        json!("there is no such file yet")
    );
    kcl(&format!("serve app other {place} --dead-letters {shown}"))
        .await
        .complains(3, &["expected one APP"]);
}
