//! The shards of the stream in memory: how they split, merge, end, go and are listed.

use kcl_core::model::{ChildShard, HashKeyRange, ShardId, Timestamp};
use kcl_core::stream::memory::MemoryStream;
use kcl_core::stream::{ErrorKind, Page, ShardFilter, StartAt, Stream as _};

use super::stream::{kind, only_shard, page_from, stream_at, texts};

async fn listed(stream: &MemoryStream, filter: ShardFilter) -> Vec<String> {
    let mut names = Vec::new();
    let mut page = None;
    loop {
        let found = stream.list_shards(&filter, page.as_ref()).await.unwrap();
        names.extend(
            found
                .shards
                .iter()
                .map(|shard| shard.id.as_str()["shardId-00000000000".len()..].to_owned()),
        );
        page = found.next;
        if page.is_none() {
            return names;
        }
    }
}

#[tokio::test]
async fn a_split_ends_the_parent_with_its_two_children() {
    let stream = MemoryStream::new("orders", 1);
    let parent = only_shard(&stream);
    stream.put_to(&parent, "k", "last").unwrap();
    let at_the_tip = page_from(&stream, &parent, StartAt::TrimHorizon)
        .await
        .next
        .unwrap();
    let [lower, upper] = stream.split(&parent, 1000).unwrap();

    let ranges = [
        HashKeyRange::new(0, 999).unwrap(),
        HashKeyRange::new(1000, u128::MAX).unwrap(),
    ];
    let children = [(lower, ranges[0]), (upper, ranges[1])]
        .map(|(id, range)| ChildShard::new(id, vec![parent.clone()], range));
    // Both for a reader that waited at the tip and for one whose last page has records.
    for page in [
        stream.read(&at_the_tip, 10).await.unwrap(),
        page_from(&stream, &parent, StartAt::TrimHorizon).await,
    ] {
        assert_eq!(page.next, None);
        assert_eq!(page.children, children);
    }
    let cut = stream
        .read(
            &stream.open(&parent, &StartAt::TrimHorizon).await.unwrap(),
            1,
        )
        .await
        .unwrap();
    assert_eq!(texts(&cut), ["last"]);
    assert_eq!(kind(stream.put_to(&parent, "k", "x")), ErrorKind::Fatal);
    let (_, child_sequence) = stream.put("k", "first").unwrap();
    assert!(cut.records[0].sequence < child_sequence);
}

#[tokio::test]
async fn a_page_before_the_last_of_a_closed_shard_names_no_children() {
    let stream = MemoryStream::new("orders", 1);
    let parent = only_shard(&stream);
    stream
        .put_many_to(&parent, ["a", "b"].map(|text| ("k", text)))
        .unwrap();
    stream.split_evenly(&parent).unwrap();
    let first = stream
        .read(
            &stream.open(&parent, &StartAt::TrimHorizon).await.unwrap(),
            1,
        )
        .await
        .unwrap();
    assert!(first.children.is_empty());
    let last = stream.read(&first.next.unwrap(), 1).await.unwrap();
    assert_eq!(
        (
            last.next,
            last.children.len(),
            texts(&Page::new(last.records, None))
        ),
        (None, 2, vec!["b".to_owned()])
    );
}

#[tokio::test]
async fn a_merge_ends_both_parents_with_one_child() {
    let stream = MemoryStream::new("orders", 3);
    let [a, b, c] = <[ShardId; 3]>::try_from(stream.open_shards()).unwrap();
    assert_eq!(
        kind(stream.merge(&a, &c)),
        ErrorKind::Fatal,
        "not next to each other"
    );
    let child = stream.merge(&b, &a).unwrap();
    for parent in [&a, &b] {
        let end = page_from(&stream, parent, StartAt::TrimHorizon).await;
        assert_eq!(end.next, None);
        assert_eq!(end.children[0].id, child);
        assert_eq!(end.children[0].parents, [b.clone(), a.clone()]);
    }
    let merged = stream
        .shards()
        .into_iter()
        .find(|shard| shard.id == child)
        .unwrap();
    assert_eq!(merged.hash_range.start(), 0);
    assert_eq!(stream.open_shards(), [c, child]);
}

#[tokio::test]
async fn a_shard_that_is_closed_for_good_ends_without_children() {
    let stream = MemoryStream::new("orders", 1);
    let shard = only_shard(&stream);
    stream.close(&shard).unwrap();
    let end = page_from(&stream, &shard, StartAt::TrimHorizon).await;
    assert_eq!((end.next, end.children.len()), (None, 0));
    assert_eq!(kind(stream.put("k", "x")), ErrorKind::Gone);
}

#[tokio::test]
async fn bad_splits_are_refused_and_change_nothing() {
    let stream = MemoryStream::new("orders", 2);
    let upper = stream.shards()[1].clone();
    for at in [0, upper.hash_range.start() - 1, upper.hash_range.start()] {
        assert_eq!(kind(stream.split(&upper.id, at)), ErrorKind::Fatal, "{at}");
    }
    assert_eq!(
        kind(stream.split(&ShardId::from("shardId-none"), 5)),
        ErrorKind::Gone
    );
    assert_eq!(stream.open_shards().len(), 2);
    let [_, top] = stream.split(&upper.id, u128::MAX).unwrap();
    assert_eq!(
        kind(stream.split_evenly(&top)),
        ErrorKind::Fatal,
        "one hash key cannot be split"
    );
}

#[tokio::test]
async fn a_dropped_shard_is_gone_for_open_and_for_read() {
    let stream = MemoryStream::new("orders", 1);
    let shard = only_shard(&stream);
    let cursor = stream.open(&shard, &StartAt::TrimHorizon).await.unwrap();
    stream.split_evenly(&shard).unwrap();
    stream.drop_shard(&shard).unwrap();
    assert_eq!(
        kind(stream.open(&shard, &StartAt::TrimHorizon).await),
        ErrorKind::Gone
    );
    assert_eq!(kind(stream.read(&cursor, 10).await), ErrorKind::Gone);
    assert_eq!(listed(&stream, ShardFilter::All).await, ["1", "2"]);
}

#[tokio::test]
async fn filters_choose_as_the_service_does() {
    let (stream, clock) = stream_at(1000, 2);
    let [zero, one] = <[ShardId; 2]>::try_from(stream.open_shards()).unwrap();
    clock.set(2000);
    let [two, _three] = stream.split_evenly(&zero).unwrap();
    clock.set(3000);
    stream.split_evenly(&two).unwrap();
    clock.set(4000);
    let at = |millis| ShardFilter::AtTimestamp(Timestamp::from_millis(millis));
    for (filter, expected) in [
        (ShardFilter::All, vec!["0", "1", "2", "3", "4", "5"]),
        (ShardFilter::AtLatest, vec!["1", "3", "4", "5"]),
        (ShardFilter::AtTrimHorizon, vec!["0", "1"]),
        (at(500), vec!["0", "1"]),
        (at(1500), vec!["0", "1"]),
        (at(2000), vec!["0", "1", "2", "3"]),
        (at(2500), vec!["1", "2", "3"]),
        (at(3500), vec!["1", "3", "4", "5"]),
    ] {
        assert_eq!(
            listed(&stream, filter.clone()).await,
            expected,
            "{filter:?}"
        );
    }
    // Once the first parent has left, an earlier time means the oldest that is left.
    stream.drop_shard(&zero).unwrap();
    assert_eq!(
        listed(&stream, ShardFilter::AtTrimHorizon).await,
        ["1", "2", "3"]
    );
    assert_eq!(listed(&stream, at(1500)).await, ["1", "2", "3"]);
    assert!(
        stream
            .shards()
            .iter()
            .any(|shard| shard.id == two && shard.parents == [zero.clone()]),
        "parents stay known"
    );
    let _ = one;
}

#[tokio::test]
async fn the_list_of_shards_comes_in_pages_with_the_services_time() {
    let (stream, _) = stream_at(5000, 7);
    stream.set_shards_a_page(3);
    let mut sizes = Vec::new();
    let mut page = None;
    loop {
        let found = stream
            .list_shards(&ShardFilter::AtLatest, page.as_ref())
            .await
            .unwrap();
        assert_eq!(found.service_time, Timestamp::from_millis(5000));
        sizes.push(found.shards.len());
        page = found.next;
        if page.is_none() {
            break;
        }
    }
    assert_eq!(sizes, [3, 3, 1]);
    assert_eq!(listed(&stream, ShardFilter::All).await.len(), 7);
}
