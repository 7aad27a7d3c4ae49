//! Reading a shard of the embedded stream with `GetRecords`, through the AWS SDK.

use std::time::Duration;

use super::support::{
    create, fill, id, iterator, iterator_at, merge, put, read, split, texts, until,
};
use aws_sdk_kinesis::primitives::DateTime;
use aws_sdk_kinesis::types::ShardIteratorType::{
    AfterSequenceNumber, AtSequenceNumber, Latest, TrimHorizon,
};
use kcl_local::stream::LocalStream;

/// At the end of a split shard come its children and no next iterator.
#[tokio::test]
async fn a_split_shard_ends_with_its_children_and_no_iterator() {
    let stream = LocalStream::start().await.expect("starts");
    let client = stream.client();
    create(&client, "s", 1).await;
    put(&client, "s", "k", b"last").await;
    split(&client, "s", &id(0)).await;

    let page = read(&client, &iterator(&client, "s", &id(0), TrimHorizon).await).await;
    assert_eq!(texts(&page), ["last"]);
    assert!(page.child_shards().is_empty());
    let end = read(&client, &page.next_shard_iterator.expect("one more page")).await;
    assert!(end.records.is_empty());
    assert_eq!(
        (end.next_shard_iterator, end.millis_behind_latest),
        (None, Some(0))
    );
    let children: Vec<_> = end.child_shards.expect("children");
    let ids: Vec<&str> = children
        .iter()
        .map(|child| child.shard_id.as_str())
        .collect();
    assert_eq!(ids, [id(1), id(2)]);
    assert!(
        children
            .iter()
            .all(|child| child.parent_shards == [id(0)] && child.hash_key_range.is_some())
    );
}

/// At the end of a merged shard comes the child with both parents.
#[tokio::test]
async fn a_merged_shard_ends_with_the_child_of_both_parents() {
    let stream = LocalStream::start().await.expect("starts");
    let client = stream.client();
    create(&client, "s", 2).await;
    merge(&client, "s", &id(0), &id(1)).await;
    for shard in [id(0), id(1)] {
        let end = read(&client, &iterator(&client, "s", &shard, TrimHorizon).await).await;
        assert_eq!(end.next_shard_iterator, None);
        let children = end.child_shards();
        assert_eq!(children.len(), 1);
        assert_eq!(children[0].parent_shards, [id(0), id(1)]);
    }
}

/// Millis behind latest is the age of what was read and zero at the tip.
#[tokio::test]
async fn millis_behind_latest_is_the_age_of_what_was_read() {
    let stream = LocalStream::start().await.expect("starts");
    let client = stream.client();
    create(&client, "s", 1).await;
    put(&client, "s", "k", b"one").await;
    put(&client, "s", "k", b"two").await;
    let start = iterator(&client, "s", &id(0), TrimHorizon).await;
    // The lag grows as time passes, on the same record.
    let first = until(|| async {
        let page = client
            .get_records()
            .shard_iterator(&start)
            .limit(1)
            .send()
            .await
            .expect("a page");
        (page.millis_behind_latest >= Some(50)).then_some(page)
    })
    .await;
    assert_eq!(texts(&first), ["one"]);
    let second = read(&client, &first.next_shard_iterator.expect("more")).await;
    assert_eq!(
        (texts(&second), second.millis_behind_latest),
        (vec!["two".to_owned()], Some(0))
    );
    let tip = read(&client, &second.next_shard_iterator.expect("open")).await;
    assert_eq!((tip.records.len(), tip.millis_behind_latest), (0, Some(0)));
    assert!(tip.next_shard_iterator.is_some());
}

#[tokio::test]
async fn a_page_has_at_most_ten_mebibytes_and_ten_thousand_records() {
    let stream = LocalStream::start().await.expect("starts");
    let client = stream.client();
    create(&client, "large", 1).await;
    fill(&client, "large", 15, 1024 * 1024).await;
    let page = read(
        &client,
        &iterator(&client, "large", &id(0), TrimHorizon).await,
    )
    .await;
    // 10 x 1 MiB and their keys are more than 10 MiB.
    assert_eq!(page.records.len(), 9);
    assert!(page.millis_behind_latest > Some(0));
    let page = read(&client, &page.next_shard_iterator.expect("more")).await;
    assert_eq!(
        (page.records.len(), page.millis_behind_latest),
        (6, Some(0))
    );

    create(&client, "small", 1).await;
    fill(&client, "small", 10_500, 10).await;
    let page = read(
        &client,
        &iterator(&client, "small", &id(0), TrimHorizon).await,
    )
    .await;
    assert_eq!(page.records.len(), 10_000);
    let page = read(&client, &page.next_shard_iterator.expect("more")).await;
    assert_eq!(page.records.len(), 500);
}

#[tokio::test]
async fn every_start_finds_its_record() {
    let stream = LocalStream::start().await.expect("starts");
    let client = stream.client();
    create(&client, "s", 1).await;
    let mut numbers = Vec::new();
    for text in ["one", "two", "three"] {
        numbers.push(put(&client, "s", "k", text.as_bytes()).await);
    }
    assert!(numbers.is_sorted());
    let from = async |kind, number: &str| {
        let request = client
            .get_shard_iterator()
            .stream_name("s")
            .shard_id(id(0))
            .shard_iterator_type(kind);
        let iterator = request
            .starting_sequence_number(number)
            .send()
            .await
            .expect("an iterator");
        texts(&read(&client, &iterator.shard_iterator.expect("a token")).await)
    };
    assert_eq!(from(AtSequenceNumber, &numbers[1]).await, ["two", "three"]);
    assert_eq!(from(AfterSequenceNumber, &numbers[1]).await, ["three"]);
    assert_eq!(
        texts(&read(&client, &iterator(&client, "s", &id(0), TrimHorizon).await).await).len(),
        3
    );

    let latest = iterator(&client, "s", &id(0), Latest).await;
    assert!(read(&client, &latest).await.records.is_empty());
    put(&client, "s", "k", b"four").await;
    assert_eq!(texts(&read(&client, &latest).await), ["four"]);
}

/// A start at a time finds the first record of that millisecond or later.
#[tokio::test]
async fn a_start_at_a_time_finds_the_first_record_from_then_on() {
    let stream = LocalStream::start().await.expect("starts");
    let client = stream.client();
    create(&client, "s", 1).await;
    put(&client, "s", "k", b"early").await;
    let all = iterator(&client, "s", &id(0), TrimHorizon).await;
    let arrival = async |n: usize| {
        let page = read(&client, &all).await;
        super::support::arrival_ms(&page.records[n])
    };
    let early = arrival(0).await;
    // Records of different milliseconds; within the same second, in most runs.
    let mut count = 1;
    let late = loop {
        put(&client, "s", "k", b"late").await;
        count += 1;
        let late = arrival(count - 1).await;
        if late > early {
            break late;
        }
    };
    let at = async |at: i64| {
        let iterator = iterator_at(&client, "s", &id(0), DateTime::from_millis(at)).await;
        read(&client, &iterator).await.records.len()
    };
    assert_eq!(at(early).await, count);
    assert_eq!(at(early + 1).await, 1);
    assert_eq!(at(late).await, 1);
    // Wait for the next millisecond: a time that is still to come is refused.
    let behind = until(|| async {
        let request = client
            .get_shard_iterator()
            .stream_name("s")
            .shard_id(id(0))
            .timestamp(DateTime::from_millis(late + 1));
        let request =
            request.shard_iterator_type(aws_sdk_kinesis::types::ShardIteratorType::AtTimestamp);
        request.send().await.ok()?.shard_iterator
    })
    .await;
    assert!(
        read(&client, &behind).await.records.is_empty(),
        "behind the last record is the tip, not the start"
    );
}

#[tokio::test]
async fn an_iterator_expires() {
    let lifetime = Duration::from_millis(100);
    let stream = LocalStream::builder()
        .iterator_lifetime(lifetime)
        .start()
        .await
        .expect("starts");
    let client = stream.client();
    create(&client, "s", 1).await;
    let iterator = iterator(&client, "s", &id(0), TrimHorizon).await;
    read(&client, &iterator).await;
    let error = until(|| async {
        client
            .get_records()
            .shard_iterator(&iterator)
            .send()
            .await
            .err()
    })
    .await;
    assert!(error.into_service_error().is_expired_iterator_exception());
}

#[tokio::test]
async fn a_position_of_another_stream_of_that_name_is_refused() {
    let stream = LocalStream::start().await.expect("starts");
    let client = stream.client();
    create(&client, "s", 2).await;
    let number = put(&client, "s", "k", b"x").await;
    let wrong = if number_is_of(&client, &number, 0).await {
        id(1)
    } else {
        id(0)
    };
    let request = client
        .get_shard_iterator()
        .stream_name("s")
        .shard_id(wrong)
        .starting_sequence_number(number);
    let error = request
        .shard_iterator_type(AtSequenceNumber)
        .send()
        .await
        .expect_err("of the other shard");
    assert!(error.into_service_error().is_invalid_argument_exception());
    let error = client
        .get_records()
        .shard_iterator("nonsense")
        .send()
        .await
        .expect_err("no iterator");
    assert!(error.into_service_error().is_invalid_argument_exception());
}

async fn number_is_of(client: &aws_sdk_kinesis::Client, number: &str, shard: usize) -> bool {
    let page = read(
        client,
        &iterator(client, "s", &id(shard), TrimHorizon).await,
    )
    .await;
    page.records
        .iter()
        .any(|record| record.sequence_number == number)
}

#[tokio::test]
async fn a_reader_misses_no_record_of_concurrent_writers() {
    let stream = LocalStream::start().await.expect("starts");
    let client = stream.client();
    create(&client, "s", 1).await;
    let writers = (0..8).map(|writer| {
        let client = client.clone();
        async move {
            for n in 0..40 {
                put(&client, "s", "k", format!("{writer}-{n}").as_bytes()).await;
            }
        }
    });
    let reader = async {
        let mut seen = Vec::new();
        let mut next = iterator(&client, "s", &id(0), TrimHorizon).await;
        while seen.len() < 8 * 40 {
            let page = read(&client, &next).await;
            seen.extend(texts(&page));
            next = page.next_shard_iterator.expect("open");
        }
        seen
    };
    let both = async { tokio::join!(futures_util::future::join_all(writers), reader) };
    let (_, mut seen) = super::support::soon(Box::pin(both)).await;
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 8 * 40);
}

#[tokio::test]
async fn a_record_that_was_put_while_its_shard_was_split_is_read() {
    let stream = LocalStream::builder()
        .settle_time(Duration::ZERO)
        .start()
        .await
        .expect("starts");
    let client = stream.client();
    create(&client, "s", 1).await;
    for round in 0..5 {
        let open: Vec<String> = super::support::shards(&client, "s")
            .await
            .into_iter()
            .filter(|shard| {
                shard
                    .sequence_number_range
                    .as_ref()
                    .is_some_and(|range| range.ending_sequence_number.is_none())
            })
            .map(|shard| shard.shard_id)
            .collect();
        let parent = open[0].clone();
        let puts = (0..20).map(|n| {
            let client = client.clone();
            async move {
                put(
                    &client,
                    "s",
                    &format!("k{n}"),
                    format!("{round}-{n}").as_bytes(),
                )
                .await
            }
        });
        tokio::join!(
            futures_util::future::join_all(puts),
            split(&client, "s", &parent)
        );
    }
    let mut seen = Vec::new();
    for shard in super::support::shards(&client, "s").await {
        let mut next = Some(iterator(&client, "s", &shard.shard_id, TrimHorizon).await);
        while let Some(iterator) = next {
            let page = read(&client, &iterator).await;
            seen.extend(texts(&page));
            next = page
                .next_shard_iterator
                .filter(|_| !page.records.is_empty());
        }
    }
    assert_eq!(seen.len(), 100);
}
