//! What links do to requests, seen with the client of the service.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::error::ProvideErrorMetadata;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::ShardIteratorType;
use examples::embedded::{Embedded, client};
use tests::fleet::{Harm, HarmedService, Link, Trouble, Upstream};
use tests::sim::Dice;

/// A stream of one shard, and a client that reaches it through a link.
struct Scene {
    stream: Embedded,
    upstream: Arc<Upstream>,
    link: Link,
    client: Client,
}

impl Scene {
    async fn start() -> Self {
        let stream = Embedded::in_memory("s", 1).await.unwrap();
        let upstream = Arc::new(Upstream::new(stream.endpoint()));
        let link = Link::open(&upstream, Dice::new(1, "test")).unwrap();
        let client = client(&link.endpoint(), "us-east-1");
        Self {
            stream,
            upstream,
            link,
            client,
        }
    }

    /// Harms all requests.
    fn harm(&self, harm: Harm, span: Duration) {
        self.link.harm(Trouble {
            harm,
            service: HarmedService::Stream,
            span,
            percent: 100,
        });
    }

    /// Puts a record through the link. The code of its error, or nothing where no service said one.
    async fn put(&self) -> Result<(), Option<String>> {
        let put = self
            .client
            .put_record()
            .stream_name("s")
            .partition_key("k")
            .data(Blob::new("x"))
            .send()
            .await;
        put.map(drop)
            .map_err(|error| error.code().map(ToOwned::to_owned))
    }

    async fn iterator(&self, client: &Client) -> String {
        let asked = client
            .get_shard_iterator()
            .stream_name("s")
            .shard_id("shardId-000000000000");
        let answer = asked
            .shard_iterator_type(ShardIteratorType::TrimHorizon)
            .send()
            .await
            .unwrap();
        answer.shard_iterator().unwrap().to_owned()
    }

    /// How many records are there.
    async fn stored(&self) -> usize {
        let client = self.stream.client();
        let iterator = self.iterator(client).await;
        client
            .get_records()
            .shard_iterator(iterator)
            .send()
            .await
            .unwrap()
            .records()
            .len()
    }
}

const LONG: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn requests_pass_before_a_trouble_and_after_it() {
    let scene = Scene::start().await;
    assert_eq!(scene.put().await, Ok(()));
    scene.harm(Harm::Expired, LONG);
    assert!(scene.put().await.is_err());
    scene.link.heal();
    assert_eq!(scene.put().await, Ok(()));
    scene.harm(Harm::Expired, Duration::ZERO);
    assert_eq!(scene.put().await, Ok(()), "its span is over");
    assert_eq!(
        (scene.stored().await, scene.upstream.harmed(Harm::Expired)),
        (3, 1)
    );
}

#[tokio::test]
async fn refusals_bear_the_names_that_the_service_gives_them() {
    let scene = Scene::start().await;
    for (harm, code) in [
        (Harm::Expired, "ExpiredTokenException"),
        (Harm::Throttle, "ProvisionedThroughputExceededException"),
    ] {
        scene.harm(harm, LONG);
        assert_eq!(scene.put().await, Err(Some(code.to_owned())));
    }
    scene.harm(Harm::Error, LONG);
    let mut said = std::collections::BTreeSet::new();
    while said.len() < 2 {
        said.insert(scene.put().await.unwrap_err());
    }
    assert_eq!(
        said,
        [None, Some("InternalFailure".to_owned())].into(),
        "as HTML and as JSON"
    );
    assert_eq!(scene.stored().await, 0);
}

#[tokio::test]
async fn a_broken_connection_may_hide_a_request_that_was_done() {
    let scene = Scene::start().await;
    scene.harm(Harm::Break, LONG);
    let mut tries = 0;
    // Before it was done, after it, and within its answer: all of them are an error without a word
    // of the service.
    while scene.stored().await < 2 || scene.stored().await == tries {
        assert_eq!(scene.put().await, Err(None));
        tries += 1;
    }
}

#[tokio::test]
async fn a_late_request_arrives_when_who_sent_it_is_gone() {
    let scene = Scene::start().await;
    scene.harm(Harm::Late, Duration::from_millis(300));
    let put = scene.put();
    let asked = async {
        while scene.upstream.harmed(Harm::Late) == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        _ = put => panic!("it was not held back"),
        () = asked => {}
    }
    let Scene {
        upstream, stream, ..
    } = scene;
    let scene = Scene {
        link: Link::open(&upstream, Dice::new(1, "other")).unwrap(),
        client: stream.client().clone(),
        stream,
        upstream,
    };
    while scene.stored().await == 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_held_answer_is_of_a_request_that_was_done_at_once() {
    let scene = Scene::start().await;
    scene.harm(Harm::Hold, LONG);
    let done = async {
        while scene.stored().await == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        _ = scene.put() => panic!("it was answered"),
        () = done => {}
    }
}

#[tokio::test]
async fn an_odd_answer_has_neither_records_nor_a_next_iterator() {
    let scene = Scene::start().await;
    assert_eq!(scene.put().await, Ok(()));
    scene.harm(Harm::Odd, LONG);
    assert_eq!(
        scene.put().await,
        Ok(()),
        "only GetRecords is answered oddly"
    );
    let iterator = scene.iterator(&scene.client).await;
    let answer = scene
        .client
        .get_records()
        .shard_iterator(iterator)
        .send()
        .await
        .unwrap();
    assert_eq!(
        (answer.records().len(), answer.next_shard_iterator()),
        (0, None)
    );
}
