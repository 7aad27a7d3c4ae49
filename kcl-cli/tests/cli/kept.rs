//! `export` and `import`.

use std::fs;

use kcl_core::MemoryStream;
use kcl_core::model::{Checkpoint, HashKeyRange, Lease};
use serde_json::Value;

use super::program::kcl;
use super::scene::{Scene, Server, all, lease};

const TWO_WORKERS: &str =
    include_str!("../../../kcl-dynamo/tests/golden/kcl-3.5.1-two-workers.json");

/// The leases of an export, without the time at which it was made.
fn leases(text: &str) -> Value {
    serde_json::from_str::<Value>(text).unwrap()["leases"].take()
}

/// Leases as workers leave them, and one as full as a lease can be.
async fn full(scene: &Scene) -> Vec<Lease> {
    let stream = MemoryStream::new("orders", 3);
    let worker = scene.start("first", &stream, 3).await;
    worker.die().await;
    let mut child = lease(
        "shardId-000000000009",
        Checkpoint::At("123456789.4".parse().unwrap()),
    );
    child.parents = vec!["shardId-000000000000".into(), "shardId-000000000001".into()];
    child.hash_range = HashKeyRange::new(3, u128::MAX - 1).ok();
    child.owner_switches = 2;
    scene.create(&[child]).await;
    scene.sql(
        "UPDATE leases SET pending_checkpoint = 'SHARD_END', \
        pending_checkpoint_sub_sequence_number = '0', pending_checkpoint_state = x'00ff' WHERE \
        shard LIKE '%2'",
    );
    scene.leases().await
}

#[tokio::test]
async fn an_import_of_an_export_is_the_same_table_on_dynamodb_too() {
    let (scene, server, other) = (
        Scene::new().await,
        Server::start().await,
        Scene::new().await,
    );
    let before = full(&scene).await;
    let file = scene.folder.path().join("leases.json");
    let file = file.display();
    let done = kcl(&format!("export app --table {} --to {file}", scene.place())).await;
    done.complains(0, &["exported 4 leases"]);
    assert_eq!(done.out, "");

    let import = format!("import app --table {} --from {file}", server.place());
    kcl(&import)
        .await
        .says(0, &["created 4 leases", "0 are already there"]);
    let exported = kcl(&format!("export app --table {}", server.place())).await;
    assert_eq!(
        leases(&exported.out),
        leases(&fs::read_to_string(file.to_string()).unwrap())
    );
    kcl(&import)
        .await
        .says(0, &["created 0 leases", "4 are already there"]);

    let back = scene.folder.path().join("back.json");
    fs::write(&back, exported.out).unwrap();
    let import = format!(
        "import app --table {} --from {}",
        other.place(),
        back.display()
    );
    kcl(&import).await.says(0, &["created 4 leases"]);
    assert_eq!(other.leases().await, before);
}

#[tokio::test]
async fn an_import_overwrites_nothing_and_a_dry_run_writes_nothing() {
    let (scene, other) = (Scene::new().await, Scene::new().await);
    full(&scene).await;
    let file = scene.folder.path().join("leases.json");
    let file = file.display();
    kcl(&format!("export app --table {} --to {file}", scene.place()))
        .await
        .says(0, &[]);
    kcl(&format!("export app --table {} --to {file}", scene.place()))
        .await
        .complains(3, &["cannot write", "exists"]);

    let import = format!("import app --table {} --from {file}", other.place());
    kcl(&format!("{import} --dry-run"))
        .await
        .says(0, &["would create 4 leases"]);
    assert_eq!(other.leases().await, []);
    let missing = other.folder.path().join("none.sqlite");
    kcl(&format!(
        "import app --table sqlite:{} --from {file} --dry-run",
        missing.display()
    ))
    .await
    .says(0, &["would create 4 leases"]);
    assert!(!missing.exists());
    let broken = other.folder.path().join("broken.sqlite");
    fs::write(&broken, "no table").unwrap();
    kcl(&format!(
        "import app --table sqlite:{} --from {file} --dry-run",
        broken.display()
    ))
    .await
    .complains(3, &["cannot open the lease table", "broken.sqlite"]);

    other
        .create(&[lease("shardId-000000000001", Checkpoint::Latest)])
        .await;
    let standing = other.leases().await;
    kcl(&import).await.complains(
        1,
        &[
            "refused",
            "such as shardId-000000000001",
            "overwrites nothing",
        ],
    );
    assert_eq!(other.leases().await, standing);
}

#[tokio::test]
async fn free_leases_are_taken_at_once_by_who_comes() {
    let (scene, other) = (Scene::new().await, Scene::new().await);
    let stream = MemoryStream::new("orders", 2);
    scene.start("first", &stream, 2).await.die().await;
    let file = scene.folder.path().join("leases.json");
    let file = file.display();
    kcl(&format!("export app --table {} --to {file}", scene.place()))
        .await
        .says(0, &[]);
    let import = format!("import app --table {} --from {file} --free", other.place());
    kcl(&import).await.says(0, &["created 2 leases"]);
    assert!(
        other
            .leases()
            .await
            .iter()
            .all(|lease| lease.owner.is_none())
    );
    other.start("second", &stream, 2).await.die().await;
}

#[tokio::test]
async fn what_cannot_be_exported_or_imported_is_refused() {
    let scene = Scene::new().await;
    full(&scene).await;
    scene.sql("UPDATE leases SET checkpoint = 'x' WHERE shard LIKE '%2'");
    let export = format!("export app --table {}", scene.place());
    let refused = kcl(&export).await;
    refused.complains(
        1,
        &["shardId-000000000002", "`x`", "1 lease cannot be exported"],
    );
    assert_eq!(refused.out, "");
    let rest = kcl(&format!("{export} --without-malformed")).await;
    assert_eq!(leases(&rest.out).as_array().unwrap().len(), 3);

    let file = scene.folder.path().join("leases.json");
    let import = format!(
        "import app --table {} --from {}",
        scene.place(),
        file.display()
    );
    kcl(&import).await.complains(3, &["cannot read"]);
    fs::write(&file, "{}").unwrap();
    kcl(&import)
        .await
        .complains(3, &["is not an export of leases"]);
    fs::write(&file, rest.out.replace("\"app\"", "\"another\"")).unwrap();
    kcl(&import)
        .await
        .complains(3, &["leases of `another`", "--rename"]);
    fs::write(&file, rest.out.replace("\"version\": 1", "\"version\": 9")).unwrap();
    kcl(&import).await.complains(1, &["version 9"]);
}

/// A table of a Java KCL is moved to SQLite with its checkpoints as they are.
#[tokio::test]
async fn a_table_of_a_java_kcl_is_moved() {
    let (server, scene) = (Server::start().await, Scene::new().await);
    server.put_golden(TWO_WORKERS).await;
    let rows = all(&server.table().await).await;
    assert!(!rows.is_empty());
    let file = scene.folder.path().join("leases.json");
    let file = file.display();
    kcl(&format!(
        "export app --table {} --to {file}",
        server.place()
    ))
    .await
    .says(0, &[]);
    kcl(&format!(
        "import app --table {} --from {file}",
        scene.place()
    ))
    .await
    .says(0, &[]);
    assert_eq!(scene.leases().await, rows);
}
