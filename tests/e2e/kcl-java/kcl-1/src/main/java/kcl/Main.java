package kcl;

import com.amazonaws.auth.AWSStaticCredentialsProvider;
import com.amazonaws.auth.BasicAWSCredentials;
import com.amazonaws.services.kinesis.clientlibrary.exceptions.InvalidStateException;
import com.amazonaws.services.kinesis.clientlibrary.exceptions.ShutdownException;
import com.amazonaws.services.kinesis.clientlibrary.interfaces.IRecordProcessorCheckpointer;
import com.amazonaws.services.kinesis.clientlibrary.interfaces.v2.IRecordProcessor;
import com.amazonaws.services.kinesis.clientlibrary.interfaces.v2.IShutdownNotificationAware;
import com.amazonaws.services.kinesis.clientlibrary.lib.worker.InitialPositionInStream;
import com.amazonaws.services.kinesis.clientlibrary.lib.worker.KinesisClientLibConfiguration;
import com.amazonaws.services.kinesis.clientlibrary.lib.worker.ShutdownReason;
import com.amazonaws.services.kinesis.clientlibrary.lib.worker.Worker;
import com.amazonaws.services.kinesis.clientlibrary.types.InitializationInput;
import com.amazonaws.services.kinesis.clientlibrary.types.ProcessRecordsInput;
import com.amazonaws.services.kinesis.clientlibrary.types.ShutdownInput;
import com.amazonaws.services.kinesis.metrics.impl.NullMetricsFactory;
import java.util.concurrent.TimeUnit;

/** A worker of the KCL 1.x that runs until SIGTERM. */
final class Main {
    private Main() {}

    public static void main(String[] arguments) {
        var options = new Options(arguments);
        var credentials = new AWSStaticCredentialsProvider(new BasicAWSCredentials("any", "any"));
        var config = new KinesisClientLibConfiguration(
                        options.application(), options.streams().get(0), credentials, options.worker())
                .withInitialPositionInStream(InitialPositionInStream.TRIM_HORIZON)
                .withRegionName("us-east-1")
                .withKinesisEndpoint(options.kinesis().toString())
                .withDynamoDBEndpoint(options.dynamo().toString())
                .withFailoverTimeMillis(options.failoverMillis())
                .withShardSyncIntervalMillis(1_000)
                .withParentShardPollIntervalMillis(1_000)
                .withIdleTimeBetweenReadsInMillis(250);
        var worker = new Worker.Builder()
                .recordProcessorFactory(
                        (com.amazonaws.services.kinesis.clientlibrary.interfaces.v2.IRecordProcessorFactory)
                                () -> new Processor(options.worker(), options.prepare() != null))
                .config(config)
                .metricsFactory(new NullMetricsFactory())
                .build();
        Runtime.getRuntime().addShutdownHook(new Thread(() -> stop(worker)));
        worker.run();
    }

    private static void stop(Worker worker) {
        try {
            worker.startGracefulShutdown().get(30, TimeUnit.SECONDS);
        } catch (Exception error) {
            System.err.println("no end in good order: " + error);
        }
    }

    /** Traces what it is given and makes a checkpoint after each batch, or prepares one: without state, which the KCL 1.14 has not. */
    private static final class Processor implements IRecordProcessor, IShutdownNotificationAware {
        private final String worker;
        private final boolean prepares;
        private Trace trace;

        Processor(String worker, boolean prepares) {
            this.worker = worker;
            this.prepares = prepares;
        }

        @Override
        public void initialize(InitializationInput input) {
            trace = new Trace(worker, input.getShardId());
            trace.initialize(input.getExtendedSequenceNumber().getSequenceNumber());
        }

        @Override
        public void processRecords(ProcessRecordsInput input) {
            input.getRecords().forEach(record -> trace.record(record.getSequenceNumber(), 0, record.getPartitionKey()));
            trace.write();
            if (!input.getRecords().isEmpty()) {
                checkpoint(input.getCheckpointer());
            }
        }

        private void checkpoint(IRecordProcessorCheckpointer checkpointer) {
            try {
                if (prepares) {
                    checkpointer.prepareCheckpoint();
                } else {
                    checkpointer.checkpoint();
                }
            } catch (ShutdownException | InvalidStateException error) {
                // The lease is somebody else's by now, who begins at the last checkpoint.
                trace.event("not_stored");
            }
        }

        @Override
        public void shutdown(ShutdownInput input) {
            boolean ended = input.getShutdownReason() == ShutdownReason.TERMINATE;
            if (ended) {
                try {
                    input.getCheckpointer().checkpoint();
                } catch (ShutdownException | InvalidStateException error) {
                    throw new IllegalStateException(error);
                }
            }
            trace.event(ended ? "shard_ended" : "lease_lost");
        }

        @Override
        public void shutdownRequested(IRecordProcessorCheckpointer checkpointer) {
            trace.event("shutdown_requested");
            if (!prepares) {
                checkpoint(checkpointer);
            }
        }
    }
}
