package kcl;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import software.amazon.awssdk.core.SdkBytes;
import software.amazon.awssdk.services.kinesis.model.ListShardsResponse;
import software.amazon.awssdk.services.kinesis.model.PutRecordsRequestEntry;
import software.amazon.awssdk.services.kinesis.model.ResourceNotFoundException;
import software.amazon.awssdk.services.kinesis.model.ScalingType;
import software.amazon.awssdk.services.kinesis.model.Shard;
import software.amazon.awssdk.services.kinesis.model.ShardFilter;
import software.amazon.awssdk.services.kinesis.model.ShardFilterType;
import software.amazon.awssdk.services.kinesis.model.ShardIteratorType;

/** The embedded stream as the AWS SDK for Java sees it, in the CBOR that it speaks unless it is told otherwise. */
@Timeout(value = 60, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class PollingTest {
    private Streams streams;

    @BeforeEach
    void connect() {
        streams = new Streams();
    }

    @AfterEach
    void close() {
        streams.close();
    }

    private static boolean isNow(Instant at) {
        return Duration.between(at, Instant.now()).abs().compareTo(Duration.ofMinutes(5)) < 0;
    }

    private Set<String> shown(ShardFilter.Builder filter) {
        return streams.client.listShards(request -> request.streamName(streams.name).shardFilter(filter.build()))
                .shards().stream().map(Shard::shardId).collect(Collectors.toSet());
    }

    @Test
    void aStreamIsDescribedWithItsTimes() {
        streams.create(3);
        var summary = streams.waitUntilActive();
        assertEquals(3, summary.openShardCount());
        assertTrue(isNow(summary.streamCreationTimestamp()), summary.toString());
        assertTrue(streams.client.listStreamsPaginator().streamNames().stream().anyMatch(streams.name::equals));
        assertEquals(Set.of("application/x-amz-cbor-1.1"), streams.contentTypes);
    }

    @Test
    void aListingGoesOnWithItsTokenAlone() {
        streams.create(7);
        List<Integer> sizes = new ArrayList<>();
        Set<String> ids = new HashSet<>();
        ListShardsResponse page = streams.client.listShards(request -> request.streamName(streams.name).maxResults(3));
        while (true) {
            sizes.add(page.shards().size());
            page.shards().forEach(shard -> ids.add(shard.shardId()));
            String token = page.nextToken();
            if (token == null) {
                break;
            }
            page = streams.client.listShards(request -> request.nextToken(token).maxResults(3));
        }
        assertEquals(List.of(3, 3, 1), sizes);
        assertEquals(7, ids.size());
    }

    @Test
    void filtersChooseByTheLifeOfAShard() {
        streams.create(1);
        String parent = streams.shards().get(0).shardId();
        streams.put("keeps the parent listed");
        Instant before = Instant.now();
        // The service's times are in milliseconds.
        Streams.pause(50);
        streams.split(parent);
        Set<String> children = streams.openShards().stream().map(Shard::shardId).collect(Collectors.toSet());
        Set<String> all = new HashSet<>(children);
        all.add(parent);
        assertEquals(2, children.size());
        assertEquals(children, shown(ShardFilter.builder().type(ShardFilterType.AT_LATEST)));
        assertEquals(Set.of(parent), shown(ShardFilter.builder().type(ShardFilterType.AT_TRIM_HORIZON)));
        assertEquals(all, shown(ShardFilter.builder().type(ShardFilterType.FROM_TRIM_HORIZON)));
        assertEquals(Set.of(parent), shown(ShardFilter.builder().type(ShardFilterType.AT_TIMESTAMP).timestamp(before)));
        assertEquals(all, shown(ShardFilter.builder().type(ShardFilterType.FROM_TIMESTAMP).timestamp(before)));
        assertEquals(children, shown(ShardFilter.builder().type(ShardFilterType.AFTER_SHARD_ID).shardId(parent)));
    }

    @Test
    void whatWasPutComesBackInOrderWithItsTimes() {
        streams.create(1);
        String shard = streams.shards().get(0).shardId();
        List<String> numbers = new ArrayList<>();
        for (String data : List.of("0", "1", "2")) {
            numbers.add(streams.put(data).sequenceNumber());
        }
        var pages = streams.read(streams.from(shard, ShardIteratorType.TRIM_HORIZON));
        assertEquals(List.of("0", "1", "2"), pages.texts());
        assertEquals(numbers, pages.records().stream().map(record -> record.sequenceNumber()).toList());
        pages.records().forEach(record -> assertTrue(isNow(record.approximateArrivalTimestamp()), record.toString()));
    }

    @Test
    void manyRecordsArePutAtOnceAndBytesComeBackAsBytes() {
        streams.create(1);
        List<SdkBytes> payloads = new ArrayList<>();
        List<PutRecordsRequestEntry> entries = new ArrayList<>();
        for (int number = 0; number < 500; number++) {
            byte[] bytes = new byte[number + 1];
            java.util.Arrays.fill(bytes, (byte) number);
            payloads.add(SdkBytes.fromByteArray(bytes));
            entries.add(PutRecordsRequestEntry.builder()
                    .partitionKey("key-" + number).data(SdkBytes.fromByteArray(bytes)).build());
        }
        var answer = streams.client.putRecords(request -> request.streamName(streams.name).records(entries));
        assertEquals(0, answer.failedRecordCount());
        var pages = streams.read(streams.from(streams.shards().get(0).shardId(), ShardIteratorType.TRIM_HORIZON));
        assertEquals(payloads, pages.records().stream().map(record -> record.data()).toList());
    }

    @Test
    void everyStartFindsItsRecord() {
        streams.create(1);
        String shard = streams.shards().get(0).shardId();
        List<String> numbers = new ArrayList<>();
        for (String data : List.of("0", "1", "2")) {
            numbers.add(streams.put(data).sequenceNumber());
            // Apart by more than a millisecond: that is how exact the times are.
            Streams.pause(20);
        }
        String latest = streams.client.getShardIterator(streams.from(shard, ShardIteratorType.LATEST).build()).shardIterator();
        streams.put("3");
        var all = streams.read(streams.from(shard, ShardIteratorType.TRIM_HORIZON)).records();
        var at = streams.from(shard, ShardIteratorType.AT_SEQUENCE_NUMBER).startingSequenceNumber(numbers.get(1));
        assertEquals(List.of("1", "2", "3"), streams.read(at).texts());
        var after = streams.from(shard, ShardIteratorType.AFTER_SEQUENCE_NUMBER).startingSequenceNumber(numbers.get(1));
        assertEquals(List.of("2", "3"), streams.read(after).texts());
        Instant arrival = all.get(2).approximateArrivalTimestamp();
        var then = streams.from(shard, ShardIteratorType.AT_TIMESTAMP).timestamp(arrival);
        assertEquals(List.of("2", "3"), streams.read(then).texts());
        var behind = streams.from(shard, ShardIteratorType.AT_TIMESTAMP)
                .timestamp(all.get(3).approximateArrivalTimestamp().plusMillis(1));
        assertEquals(List.of(), streams.read(behind).texts());
        assertEquals(List.of("3"), streams.read(latest).texts());
    }

    @Test
    void millisBehindLatestIsTheAgeOfWhatWasReadAndZeroAtTheTip() {
        streams.create(1);
        String shard = streams.shards().get(0).shardId();
        streams.put("0");
        streams.put("1");
        Streams.pause(300);
        String iterator = streams.client
                .getShardIterator(streams.from(shard, ShardIteratorType.TRIM_HORIZON).build()).shardIterator();
        var first = streams.client.getRecords(request -> request.shardIterator(iterator).limit(1));
        assertTrue(first.millisBehindLatest() >= 300 && first.millisBehindLatest() < 60_000, first.toString());
        var second = streams.client.getRecords(request -> request.shardIterator(first.nextShardIterator()));
        assertEquals(0, second.millisBehindLatest());
    }

    @Test
    void aSplitEndsTheParentWithItsChildren() {
        streams.create(1);
        String parent = streams.shards().get(0).shardId();
        streams.put("before");
        streams.split(parent);
        streams.put("after");
        var pages = streams.read(streams.from(parent, ShardIteratorType.TRIM_HORIZON));
        assertEquals(List.of("before"), pages.texts());
        assertNull(pages.last().nextShardIterator());
        var children = pages.last().childShards();
        assertEquals(streams.openShards().stream().map(Shard::shardId).collect(Collectors.toSet()),
                children.stream().map(child -> child.shardId()).collect(Collectors.toSet()));
        children.forEach(child -> assertEquals(List.of(parent), child.parentShards()));
        var after = children.stream()
                .flatMap(child -> streams.read(streams.from(child.shardId(), ShardIteratorType.TRIM_HORIZON)).texts().stream());
        assertEquals(List.of("after"), after.toList());
    }

    @Test
    void aMergeEndsBothParentsWithOneChild() {
        streams.create(2);
        List<String> parents = streams.shards().stream().map(Shard::shardId).toList();
        streams.client.mergeShards(request ->
                request.streamName(streams.name).shardToMerge(parents.get(0)).adjacentShardToMerge(parents.get(1)));
        streams.waitUntilActive();
        String merged = streams.openShards().get(0).shardId();
        for (String parent : parents) {
            var pages = streams.read(streams.from(parent, ShardIteratorType.TRIM_HORIZON));
            assertNull(pages.last().nextShardIterator());
            var children = pages.last().childShards();
            assertEquals(1, children.size());
            assertEquals(merged, children.get(0).shardId());
            assertEquals(Set.copyOf(parents), Set.copyOf(children.get(0).parentShards()));
        }
    }

    @Test
    void updateShardCountGivesEveryNewShardItsParents() {
        streams.create(2);
        Set<String> old = streams.shards().stream().map(Shard::shardId).collect(Collectors.toSet());
        streams.client.updateShardCount(request -> request.streamName(streams.name)
                .targetShardCount(4).scalingType(ScalingType.UNIFORM_SCALING));
        streams.waitUntilActive();
        assertEquals(4, streams.openShards().size());
        assertEquals(old, streams.openShards().stream().map(Shard::parentShardId).collect(Collectors.toSet()));
    }

    @Test
    void aStreamMayBeNamedByItsArnAlone() {
        streams.create(1);
        String arn = streams.waitUntilActive().streamARN();
        String shard = streams.client.putRecord(request ->
                request.streamARN(arn).partitionKey("key").data(SdkBytes.fromUtf8String("by arn"))).shardId();
        assertEquals(shard, streams.client.listShards(request -> request.streamARN(arn)).shards().get(0).shardId());
        String iterator = streams.client.getShardIterator(request ->
                request.streamARN(arn).shardId(shard).shardIteratorType(ShardIteratorType.TRIM_HORIZON)).shardIterator();
        var page = streams.client.getRecords(request -> request.streamARN(arn).shardIterator(iterator));
        assertEquals("by arn", Streams.text(page.records().get(0)));
    }

    @Test
    void anErrorIsTheSdksOwnKind() {
        assertThrows(ResourceNotFoundException.class,
                () -> streams.client.listShards(request -> request.streamName(streams.name)));
    }
}
