//! The shards of the embedded stream, through the AWS SDK.

use super::support::{create, id, iterator, merge, put, read, shards, split, texts};
use aws_sdk_kinesis::primitives::DateTime;
use aws_sdk_kinesis::types::ShardFilterType::{
    AfterShardId, AtLatest, AtTimestamp, AtTrimHorizon, FromTimestamp, FromTrimHorizon,
};
use aws_sdk_kinesis::types::{ScalingType, ShardFilter, ShardFilterType, ShardIteratorType};
use kcl_local::stream::LocalStream;

fn ids(shards: &[aws_sdk_kinesis::types::Shard]) -> Vec<String> {
    shards.iter().map(|shard| shard.shard_id.clone()).collect()
}

#[tokio::test]
async fn a_listing_goes_on_with_its_token_alone() {
    let stream = LocalStream::start().await.expect("starts");
    let client = stream.client();
    create(&client, "s", 5).await;
    let mut listed = Vec::new();
    let mut page = client
        .list_shards()
        .stream_name("s")
        .max_results(2)
        .send()
        .await
        .expect("lists");
    let mut sizes = Vec::new();
    loop {
        sizes.push(page.shards().len());
        listed.extend(ids(page.shards()));
        let Some(token) = page.next_token else { break };
        page = client
            .list_shards()
            .next_token(token)
            .max_results(2)
            .send()
            .await
            .expect("goes on");
    }
    assert_eq!(sizes, [2, 2, 1]);
    assert_eq!(listed, (0..5).map(id).collect::<Vec<_>>());

    let page = client
        .list_shards()
        .stream_name("s")
        .max_results(2)
        .send()
        .await
        .expect("lists");
    let both = client
        .list_shards()
        .stream_name("s")
        .next_token(page.next_token.expect("more"))
        .send()
        .await;
    assert!(
        both.expect_err("token and name")
            .into_service_error()
            .is_invalid_argument_exception()
    );
    let foreign = client
        .list_shards()
        .next_token("shardId-000000000001")
        .send()
        .await;
    assert!(
        foreign
            .expect_err("not a token")
            .into_service_error()
            .is_invalid_argument_exception()
    );
    let behind = client
        .list_shards()
        .stream_name("s")
        .exclusive_start_shard_id(id(3))
        .send()
        .await
        .expect("lists");
    assert_eq!(ids(behind.shards()), [id(4)]);
}

#[tokio::test]
async fn a_filter_shows_the_shards_of_its_moment() {
    let stream = LocalStream::start().await.expect("starts");
    let client = stream.client();
    create(&client, "s", 2).await;
    split(&client, "s", &id(0)).await;
    let filtered = async |kind: ShardFilterType, at: Option<i64>, after: Option<String>| {
        let filter = ShardFilter::builder()
            .r#type(kind)
            .set_timestamp(at.map(DateTime::from_secs))
            .set_shard_id(after);
        let filter = filter.build().expect("complete");
        client
            .list_shards()
            .stream_name("s")
            .shard_filter(filter)
            .send()
            .await
    };
    let shown =
        async |kind, at, after| ids(filtered(kind, at, after).await.expect("lists").shards());
    assert_eq!(shown(AtLatest, None, None).await, [id(1), id(2), id(3)]);
    assert_eq!(shown(AtTrimHorizon, None, None).await, [id(0), id(1)]);
    assert_eq!(
        shown(FromTrimHorizon, None, None).await,
        (0..4).map(id).collect::<Vec<_>>()
    );
    assert_eq!(shown(AfterShardId, None, Some(id(2))).await, [id(3)]);
    let minute_ago = Some(now_secs() - 60);
    let later = Some(now_secs() + 60);
    assert_eq!(shown(AtTimestamp, minute_ago, None).await, [id(0), id(1)]);
    assert_eq!(shown(AtTimestamp, later, None).await, [id(1), id(2), id(3)]);
    assert_eq!(shown(FromTimestamp, minute_ago, None).await.len(), 4);
    assert_eq!(
        shown(FromTimestamp, later, None).await,
        [id(1), id(2), id(3)]
    );
    let error = filtered(AtTimestamp, None, None)
        .await
        .expect_err("no timestamp");
    assert!(error.into_service_error().is_invalid_argument_exception());
}

#[expect(
    clippy::disallowed_methods,
    reason = "a time that the service has passed"
)]
fn now_secs() -> i64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs() as i64)
}

#[tokio::test]
async fn a_filter_holds_on_every_page() {
    let stream = LocalStream::start().await.expect("starts");
    let client = stream.client();
    create(&client, "s", 2).await;
    split(&client, "s", &id(0)).await;
    let filter = ShardFilter::builder()
        .r#type(AtLatest)
        .build()
        .expect("complete");
    let mut page = client
        .list_shards()
        .stream_name("s")
        .shard_filter(filter)
        .max_results(1)
        .send()
        .await
        .expect("lists");
    let mut listed = ids(page.shards());
    while let Some(token) = page.next_token {
        page = client
            .list_shards()
            .next_token(token)
            .max_results(1)
            .send()
            .await
            .expect("goes on");
        listed.extend(ids(page.shards()));
    }
    assert_eq!(listed, [id(1), id(2), id(3)]);
}

#[tokio::test]
async fn after_update_shard_count_every_new_shard_has_its_parents() {
    let stream = LocalStream::start().await.expect("starts");
    let client = stream.client();
    create(&client, "s", 3).await;
    let update = client
        .update_shard_count()
        .stream_name("s")
        .target_shard_count(2)
        .scaling_type(ScalingType::UniformScaling);
    let reply = update.send().await.expect("updates");
    assert_eq!(
        (reply.current_shard_count, reply.target_shard_count),
        (Some(3), Some(2))
    );
    let all = shards(&client, "s").await;
    let family: Vec<_> = all
        .iter()
        .map(|shard| {
            (
                shard.shard_id.clone(),
                shard.parent_shard_id.clone(),
                shard.adjacent_parent_shard_id.clone(),
            )
        })
        .collect();
    assert_eq!(
        family,
        [
            (id(0), None, None),
            (id(1), None, None),
            (id(2), None, None),
            (id(3), Some(id(1)), None),
            (id(4), Some(id(1)), None),
            (id(5), Some(id(0)), Some(id(3))),
            (id(6), Some(id(4)), Some(id(2))),
        ]
    );
    // Records go to the new shards, and the end of an old one leads to them.
    put(&client, "s", "k", b"x").await;
    let end = read(
        &client,
        &iterator(&client, "s", &id(1), ShardIteratorType::TrimHorizon).await,
    )
    .await;
    let children: Vec<_> = end
        .child_shards()
        .iter()
        .map(|child| child.shard_id.clone())
        .collect();
    assert_eq!(
        (end.next_shard_iterator, children),
        (None, vec![id(3), id(4)])
    );
    let mut found = Vec::new();
    for shard in [id(5), id(6)] {
        found.extend(texts(
            &read(
                &client,
                &iterator(&client, "s", &shard, ShardIteratorType::TrimHorizon).await,
            )
            .await,
        ));
    }
    assert_eq!(found, ["x"]);
    let same = client
        .update_shard_count()
        .stream_name("s")
        .target_shard_count(2)
        .scaling_type(ScalingType::UniformScaling);
    assert!(
        same.send()
            .await
            .expect_err("has them")
            .into_service_error()
            .is_invalid_argument_exception()
    );
}

#[tokio::test]
async fn split_and_merge_name_the_parents() {
    let stream = LocalStream::start().await.expect("starts");
    let client = stream.client();
    create(&client, "s", 1).await;
    split(&client, "s", &id(0)).await;
    merge(&client, "s", &id(1), &id(2)).await;
    let all = shards(&client, "s").await;
    assert_eq!(all[1].parent_shard_id, Some(id(0)));
    assert_eq!(
        (
            all[3].parent_shard_id.clone(),
            all[3].adjacent_parent_shard_id.clone()
        ),
        (Some(id(1)), Some(id(2)))
    );
}

#[tokio::test]
async fn a_stream_may_be_named_by_its_arn() {
    let stream = LocalStream::builder()
        .region("eu-west-1")
        .account("123456789012")
        .start()
        .await
        .expect("starts");
    let client = stream.client();
    create(&client, "s", 1).await;
    let arn = "arn:aws:kinesis:eu-west-1:123456789012:stream/s";
    let summary = client
        .describe_stream_summary()
        .stream_arn(arn)
        .send()
        .await
        .expect("describes");
    assert_eq!(
        summary
            .stream_description_summary
            .expect("a summary")
            .stream_arn,
        arn
    );
    client
        .describe_stream()
        .stream_arn(arn)
        .send()
        .await
        .expect("describes");
    assert_eq!(
        client
            .list_shards()
            .stream_arn(arn)
            .send()
            .await
            .expect("lists")
            .shards()
            .len(),
        1
    );
    client
        .list_shards()
        .stream_arn(arn)
        .stream_name("s")
        .send()
        .await
        .expect("both");
    let data = aws_sdk_kinesis::primitives::Blob::new("x");
    client
        .put_record()
        .stream_arn(arn)
        .partition_key("k")
        .data(data)
        .send()
        .await
        .expect("puts");
    let request = client
        .get_shard_iterator()
        .stream_arn(arn)
        .shard_id(id(0))
        .shard_iterator_type(ShardIteratorType::TrimHorizon);
    let iterator = request
        .send()
        .await
        .expect("an iterator")
        .shard_iterator
        .expect("a token");
    let page = client
        .get_records()
        .shard_iterator(iterator)
        .stream_arn(arn)
        .send()
        .await
        .expect("a page");
    assert_eq!(texts(&page), ["x"]);
    client
        .increase_stream_retention_period()
        .stream_arn(arn)
        .retention_period_hours(48)
        .send()
        .await
        .expect("increases");
    client
        .add_tags_to_stream()
        .stream_arn(arn)
        .tags("a", "b")
        .send()
        .await
        .expect("tags");
    client
        .list_tags_for_stream()
        .stream_arn(arn)
        .send()
        .await
        .expect("lists");
    let update = client
        .update_shard_count()
        .stream_arn(arn)
        .target_shard_count(2)
        .scaling_type(ScalingType::UniformScaling);
    update.send().await.expect("updates");
    let other = client
        .list_shards()
        .stream_arn(arn.replace("eu-west-1", "us-east-1"))
        .send()
        .await;
    assert!(
        other
            .expect_err("elsewhere")
            .into_service_error()
            .is_resource_not_found_exception()
    );
    client
        .delete_stream()
        .stream_arn(arn)
        .send()
        .await
        .expect("deletes");
}
