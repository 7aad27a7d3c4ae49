package kcl;

import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.ConcurrentSkipListSet;
import java.util.function.Supplier;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.awssdk.core.SdkBytes;
import software.amazon.awssdk.core.interceptor.Context;
import software.amazon.awssdk.core.interceptor.ExecutionAttributes;
import software.amazon.awssdk.core.interceptor.ExecutionInterceptor;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.kinesis.KinesisAsyncClient;
import software.amazon.awssdk.services.kinesis.KinesisClient;
import software.amazon.awssdk.services.kinesis.model.GetRecordsResponse;
import software.amazon.awssdk.services.kinesis.model.GetShardIteratorRequest;
import software.amazon.awssdk.services.kinesis.model.PutRecordResponse;
import software.amazon.awssdk.services.kinesis.model.Record;
import software.amazon.awssdk.services.kinesis.model.Shard;
import software.amazon.awssdk.services.kinesis.model.ShardIteratorType;
import software.amazon.awssdk.services.kinesis.model.StreamDescriptionSummary;
import software.amazon.awssdk.services.kinesis.model.StreamStatus;

/** A stream of its own at the embedded server, whose endpoint {@code tests/e2e/run} names in KCL_E2E_ENDPOINT. */
final class Streams implements AutoCloseable {
    static final String HALF_OF_THE_HASH_KEYS = "170141183460469231731687303715884105728";

    /** The content types of the replies. */
    final Set<String> contentTypes = new ConcurrentSkipListSet<>();

    final String name = "java-" + UUID.randomUUID();
    final KinesisClient client;
    final KinesisAsyncClient async;

    Streams() {
        URI endpoint = URI.create(System.getenv("KCL_E2E_ENDPOINT"));
        var credentials = StaticCredentialsProvider.create(AwsBasicCredentials.create("any", "any"));
        ExecutionInterceptor spy = new ExecutionInterceptor() {
            @Override
            public void beforeUnmarshalling(Context.BeforeUnmarshalling context, ExecutionAttributes attributes) {
                context.httpResponse().firstMatchingHeader("Content-Type").ifPresent(contentTypes::add);
            }
        };
        client = KinesisClient.builder()
                .endpointOverride(endpoint)
                .region(Region.US_EAST_1)
                .credentialsProvider(credentials)
                .overrideConfiguration(config -> config.addExecutionInterceptor(spy))
                .build();
        async = KinesisAsyncClient.builder()
                .endpointOverride(endpoint)
                .region(Region.US_EAST_1)
                .credentialsProvider(credentials)
                .build();
    }

    void create(int shards) {
        client.createStream(request -> request.streamName(name).shardCount(shards));
        waitUntilActive();
    }

    StreamDescriptionSummary waitUntilActive() {
        return until(() -> {
            var summary = client.describeStreamSummary(request -> request.streamName(name)).streamDescriptionSummary();
            return summary.streamStatus() == StreamStatus.ACTIVE ? summary : null;
        });
    }

    /** What {@code look} gives once it gives something; fails after 30 s. */
    static <T> T until(Supplier<T> look) {
        Instant deadline = Instant.now().plus(Duration.ofSeconds(30));
        while (true) {
            T found = look.get();
            if (found != null) {
                return found;
            }
            if (Instant.now().isAfter(deadline)) {
                throw new AssertionError("not within 30 s");
            }
            pause(20);
        }
    }

    static void pause(long millis) {
        try {
            Thread.sleep(millis);
        } catch (InterruptedException error) {
            throw new AssertionError(error);
        }
    }

    List<Shard> shards() {
        return client.listShards(request -> request.streamName(name)).shards();
    }

    List<Shard> openShards() {
        return shards().stream().filter(shard -> shard.sequenceNumberRange().endingSequenceNumber() == null).toList();
    }

    PutRecordResponse put(String data) {
        return client.putRecord(request ->
                request.streamName(name).partitionKey("key").data(SdkBytes.fromUtf8String(data)));
    }

    void split(String shard) {
        client.splitShard(request ->
                request.streamName(name).shardToSplit(shard).newStartingHashKey(HALF_OF_THE_HASH_KEYS));
        waitUntilActive();
    }

    GetShardIteratorRequest.Builder from(String shard, ShardIteratorType type) {
        return GetShardIteratorRequest.builder().streamName(name).shardId(shard).shardIteratorType(type);
    }

    /** All records up to the tip or the end of the shard, and the last page. */
    Pages read(GetShardIteratorRequest.Builder from) {
        return read(client.getShardIterator(from.build()).shardIterator());
    }

    Pages read(String from) {
        List<Record> records = new ArrayList<>();
        String iterator = from;
        for (int page = 0; page < 1000; page++) {
            String next = iterator;
            GetRecordsResponse answer = client.getRecords(request -> request.shardIterator(next));
            records.addAll(answer.records());
            iterator = answer.nextShardIterator();
            if (iterator == null || (answer.records().isEmpty() && answer.millisBehindLatest() == 0)) {
                return new Pages(records, answer);
            }
        }
        throw new AssertionError("the tip was not reached in 1,000 pages");
    }

    static String text(Record record) {
        return record.data().asString(StandardCharsets.UTF_8);
    }

    record Pages(List<Record> records, GetRecordsResponse last) {
        List<String> texts() {
            return records.stream().map(Streams::text).toList();
        }
    }

    @Override
    public void close() {
        client.close();
        async.close();
    }
}
