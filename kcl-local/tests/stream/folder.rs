//! The embedded stream with its data in a folder.

use std::path::Path;

use super::support::{create, id, iterator, put, read, shards, split, texts, until};
use aws_sdk_kinesis::types::ShardIteratorType::{AfterSequenceNumber, TrimHorizon};
use kcl_local::stream::{LocalStream, StartError};

async fn start(folder: &Path) -> LocalStream {
    LocalStream::builder()
        .folder(folder)
        .start()
        .await
        .expect("starts")
}

#[tokio::test]
async fn streams_records_and_positions_are_there_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let stream = start(folder.path()).await;
    let before = stream.client();
    create(&before, "s", 1).await;
    let number = put(&before, "s", "k", b"one").await;
    put(&before, "s", "k", b"two").await;
    split(&before, "s", &id(0)).await;
    put(&before, "s", "k", b"three").await;
    let family = shards(&before, "s").await;
    stream.stop().await;

    let stream = start(folder.path()).await;
    let after = stream.client();
    assert_eq!(shards(&after, "s").await, family);
    let request = after
        .get_shard_iterator()
        .stream_name("s")
        .shard_id(id(0))
        .starting_sequence_number(&number);
    let iterator_after = request
        .shard_iterator_type(AfterSequenceNumber)
        .send()
        .await
        .expect("an iterator");
    let page = read(&after, &iterator_after.shard_iterator.expect("a token")).await;
    assert_eq!(texts(&page), ["two"]);
    let end = read(
        &after,
        &page.next_shard_iterator.expect("the end is a page"),
    )
    .await;
    assert_eq!(
        (end.next_shard_iterator.as_deref(), end.child_shards().len()),
        (None, 2)
    );

    // New records follow the old ones.
    let newer = put(&after, "s", "k", b"four").await;
    let mut found = Vec::new();
    for shard in [id(1), id(2)] {
        let page = read(&after, &iterator(&after, "s", &shard, TrimHorizon).await).await;
        found.extend(page.records);
    }
    assert_eq!(found.len(), 2);
    assert!(found[0].sequence_number < found[1].sequence_number);
    assert_eq!(found[1].sequence_number, newer);
    assert_eq!(found[0].data.as_ref(), b"three");
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_server_that_was_dropped() {
    let folder = tempfile::tempdir().expect("a folder");
    let stream = start(folder.path()).await;
    let before = stream.client();
    create(&before, "s", 1).await;
    put(&before, "s", "k", b"one").await;
    drop(stream);
    let after = start(folder.path()).await.client();
    drop(after);
    let stream = start(folder.path()).await;
    let after = stream.client();
    assert_eq!(
        texts(&read(&after, &iterator(&after, "s", &id(0), TrimHorizon).await).await),
        ["one"]
    );
}

/// A deleted stream is gone and a new one of its name begins empty.
#[tokio::test]
async fn a_stream_made_again_after_its_deletion_begins_empty() {
    let folder = tempfile::tempdir().expect("a folder");
    let stream = start(folder.path()).await;
    let before = stream.client();
    create(&before, "s", 1).await;
    put(&before, "s", "k", b"old").await;
    before
        .delete_stream()
        .stream_name("s")
        .send()
        .await
        .expect("deletes");
    until(|| async {
        before
            .describe_stream_summary()
            .stream_name("s")
            .send()
            .await
            .err()
    })
    .await;
    create(&before, "s", 1).await;
    assert!(
        read(&before, &iterator(&before, "s", &id(0), TrimHorizon).await)
            .await
            .records
            .is_empty()
    );
    put(&before, "s", "k", b"new").await;
    stream.stop().await;
    let stream = start(folder.path()).await;
    let after = stream.client();
    assert_eq!(
        texts(&read(&after, &iterator(&after, "s", &id(0), TrimHorizon).await).await),
        ["new"]
    );
}

#[tokio::test]
async fn a_folder_in_use_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = start(folder.path()).await;
    let second = LocalStream::builder()
        .folder(folder.path())
        .start()
        .await
        .expect_err("in use");
    assert!(matches!(second, StartError::Records { .. }), "{second:?}");
    first.stop().await;
    drop(start(folder.path()).await);
}

#[tokio::test]
async fn a_folder_whose_streams_cannot_be_read_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("snapshot.bin"), b"not a snapshot").expect("writes");
    let error = LocalStream::builder()
        .folder(folder.path())
        .start()
        .await
        .expect_err("unreadable");
    assert!(matches!(error, StartError::Streams { .. }), "{error:?}");
}
