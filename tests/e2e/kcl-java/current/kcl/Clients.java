package kcl;

import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.awssdk.awscore.client.builder.AwsClientBuilder;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.cloudwatch.CloudWatchAsyncClient;
import software.amazon.awssdk.services.dynamodb.DynamoDbAsyncClient;
import software.amazon.awssdk.services.kinesis.KinesisAsyncClient;
import software.amazon.kinesis.common.KinesisClientUtil;

/** Clients of the endpoints that the options name. */
final class Clients {
    private Clients() {}

    private static <B extends AwsClientBuilder<B, ?>> B local(B builder) {
        return builder.region(Region.US_EAST_1)
                .credentialsProvider(StaticCredentialsProvider.create(AwsBasicCredentials.create("any", "any")));
    }

    static KinesisAsyncClient kinesis(Options options) {
        return KinesisClientUtil.createKinesisAsyncClient(
                local(KinesisAsyncClient.builder()).endpointOverride(options.kinesis()));
    }

    static DynamoDbAsyncClient dynamo(Options options) {
        return local(DynamoDbAsyncClient.builder()).endpointOverride(options.dynamo()).build();
    }

    /** Never called: the worker keeps no metrics. */
    static CloudWatchAsyncClient cloudWatch() {
        return local(CloudWatchAsyncClient.builder()).build();
    }
}
