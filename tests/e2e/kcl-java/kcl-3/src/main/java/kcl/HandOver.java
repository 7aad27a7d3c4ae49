package kcl;

import java.util.List;
import software.amazon.awssdk.services.dynamodb.model.BillingMode;
import software.amazon.kinesis.common.DdbTableConfig;
import software.amazon.kinesis.leases.dynamodb.DynamoDBLeaseRefresher;
import software.amazon.kinesis.leases.dynamodb.DynamoDBLeaseSerializer;
import software.amazon.kinesis.leases.dynamodb.DynamoDBMultiStreamLeaseSerializer;
import software.amazon.kinesis.leases.dynamodb.TableCreatorCallback;

/** Begins a hand-over of the first owned lease of a table to another worker, with the write of the KCL's leader. */
final class HandOver {
    private HandOver() {}

    public static void main(String[] arguments) throws Exception {
        var options = new Options(arguments);
        boolean isOne = options.streams().size() == 1;
        var serializer = isOne ? new DynamoDBLeaseSerializer() : new DynamoDBMultiStreamLeaseSerializer();
        var config = new DdbTableConfig().billingMode(BillingMode.PAY_PER_REQUEST);
        var leases = new DynamoDBLeaseRefresher(options.application(), Clients.dynamo(options), serializer, true,
                TableCreatorCallback.NOOP_TABLE_CREATOR_CALLBACK, java.time.Duration.ofSeconds(10), config, false, false, List.of());
        var lease = leases.listLeases().stream()
                .filter(found -> found.leaseOwner() != null && !found.checkpoint().isShardEnd())
                .min(java.util.Comparator.comparing(found -> found.leaseKey())).orElseThrow();
        if (!leases.initiateGracefulLeaseHandoff(lease, options.worker())) {
            throw new IllegalStateException("not begun: " + lease);
        }
        System.exit(0);
    }
}
