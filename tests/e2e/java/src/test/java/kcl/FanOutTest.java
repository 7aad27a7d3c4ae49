package kcl;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.Set;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import software.amazon.awssdk.services.kinesis.model.ConsumerStatus;
import software.amazon.awssdk.services.kinesis.model.Shard;
import software.amazon.awssdk.services.kinesis.model.ShardIteratorType;
import software.amazon.awssdk.services.kinesis.model.StartingPosition;
import software.amazon.awssdk.services.kinesis.model.SubscribeToShardEvent;
import software.amazon.awssdk.services.kinesis.model.SubscribeToShardRequest;
import software.amazon.awssdk.services.kinesis.model.SubscribeToShardResponseHandler;

/** SubscribeToShard of the embedded stream through the asynchronous client: CBOR events over HTTP/2 without TLS. */
@Timeout(value = 60, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class FanOutTest {
    private Streams streams;
    private String consumer;
    private final BlockingQueue<SubscribeToShardEvent> events = new LinkedBlockingQueue<>();

    @BeforeEach
    void register() {
        streams = new Streams();
        streams.create(1);
        String arn = streams.waitUntilActive().streamARN();
        consumer = streams.client.registerStreamConsumer(request -> request.streamARN(arn).consumerName("java"))
                .consumer().consumerARN();
        Streams.until(() -> streams.client.describeStreamConsumer(request -> request.consumerARN(consumer))
                .consumerDescription().consumerStatus() == ConsumerStatus.ACTIVE ? true : null);
    }

    @AfterEach
    void close() {
        streams.close();
    }

    private CompletableFuture<Void> subscribe(String shard, StartingPosition position) {
        var request = SubscribeToShardRequest.builder().consumerARN(consumer).shardId(shard).startingPosition(position).build();
        var handler = SubscribeToShardResponseHandler.builder()
                .subscriber(event -> event.accept(SubscribeToShardResponseHandler.Visitor.builder()
                        .onSubscribeToShardEvent(events::add).build()))
                .build();
        return streams.async.subscribeToShard(request, handler);
    }

    private SubscribeToShardEvent next() throws InterruptedException {
        SubscribeToShardEvent event = events.poll(30, TimeUnit.SECONDS);
        assertNotNull(event, "no event within 30 s");
        return event;
    }

    private SubscribeToShardEvent nextWithRecords() throws InterruptedException {
        while (true) {
            SubscribeToShardEvent event = next();
            if (!event.records().isEmpty()) {
                return event;
            }
        }
    }

    private static List<String> texts(SubscribeToShardEvent event) {
        return event.records().stream().map(Streams::text).toList();
    }

    @Test
    void recordsArriveAsTheyArePut() throws Exception {
        String shard = streams.shards().get(0).shardId();
        streams.put("one");
        subscribe(shard, StartingPosition.builder().type(ShardIteratorType.TRIM_HORIZON).build());
        SubscribeToShardEvent first = nextWithRecords();
        assertEquals(List.of("one"), texts(first));
        assertEquals(0, first.millisBehindLatest());
        assertEquals(first.records().get(0).sequenceNumber(), first.continuationSequenceNumber());
        for (String data : List.of("two", "three")) {
            streams.put(data);
            assertEquals(List.of(data), texts(nextWithRecords()));
        }
    }

    @Test
    void aSubscriptionGoesOnAfterAPosition() throws Exception {
        String shard = streams.shards().get(0).shardId();
        String one = streams.put("one").sequenceNumber();
        streams.put("two");
        subscribe(shard, StartingPosition.builder().type(ShardIteratorType.AFTER_SEQUENCE_NUMBER).sequenceNumber(one).build());
        assertEquals(List.of("two"), texts(nextWithRecords()));
    }

    @Test
    void aSubscriptionBeginsAtATime() throws Exception {
        String shard = streams.shards().get(0).shardId();
        streams.put("one");
        // Apart by more than a millisecond: that is how exact the times are.
        Streams.pause(20);
        streams.put("two");
        var arrival = streams.read(streams.from(shard, ShardIteratorType.TRIM_HORIZON)).records().get(1)
                .approximateArrivalTimestamp();
        subscribe(shard, StartingPosition.builder().type(ShardIteratorType.AT_TIMESTAMP).timestamp(arrival).build());
        assertEquals(List.of("two"), texts(nextWithRecords()));
    }

    @Test
    void theEndOfAShardHasNoContinuationAndTheChildren() throws Exception {
        String shard = streams.shards().get(0).shardId();
        streams.put("before");
        streams.split(shard);
        CompletableFuture<Void> session =
                subscribe(shard, StartingPosition.builder().type(ShardIteratorType.TRIM_HORIZON).build());
        assertEquals(List.of("before"), texts(nextWithRecords()));
        SubscribeToShardEvent last = next();
        while (last.continuationSequenceNumber() != null) {
            last = next();
        }
        assertNull(last.continuationSequenceNumber());
        Set<String> children = streams.openShards().stream().map(Shard::shardId).collect(Collectors.toSet());
        assertEquals(children, last.childShards().stream().map(child -> child.shardId()).collect(Collectors.toSet()));
        session.get(30, TimeUnit.SECONDS);
        assertTrue(events.isEmpty(), events.toString());
    }
}
