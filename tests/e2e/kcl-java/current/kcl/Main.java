package kcl;

import java.util.List;
import java.util.concurrent.TimeUnit;
import software.amazon.kinesis.common.ConfigsBuilder;
import software.amazon.kinesis.common.InitialPositionInStream;
import software.amazon.kinesis.common.InitialPositionInStreamExtended;
import software.amazon.kinesis.common.StreamConfig;
import software.amazon.kinesis.common.StreamIdentifier;
import software.amazon.kinesis.coordinator.Scheduler;
import software.amazon.kinesis.metrics.NullMetricsFactory;
import software.amazon.kinesis.processor.FormerStreamsLeasesDeletionStrategy;
import software.amazon.kinesis.processor.FormerStreamsLeasesDeletionStrategy.NoLeaseDeletionStrategy;
import software.amazon.kinesis.processor.MultiStreamTracker;
import software.amazon.kinesis.processor.SingleStreamTracker;
import software.amazon.kinesis.processor.StreamTracker;
import software.amazon.kinesis.retrieval.polling.PollingConfig;

/** A worker of the KCL 2.x or 3.x that runs until SIGTERM. */
final class Main {
    private static final InitialPositionInStreamExtended START =
            InitialPositionInStreamExtended.newInitialPosition(InitialPositionInStream.TRIM_HORIZON);

    private Main() {}

    public static void main(String[] arguments) {
        var options = new Options(arguments);
        var kinesis = Clients.kinesis(options);
        boolean isOne = options.streams().size() == 1;
        StreamTracker streams = isOne
                ? new SingleStreamTracker(StreamIdentifier.singleStreamInstance(options.streams().get(0)), START)
                : new Streams(options.streams());
        var configs = new ConfigsBuilder(streams, options.application(), kinesis, Clients.dynamo(options), Clients.cloudWatch(),
                options.worker(), () -> new Processor(options.worker(), options.prepare()));
        var polling = isOne ? new PollingConfig(options.streams().get(0), kinesis) : new PollingConfig(kinesis);
        polling.idleTimeBetweenReadsInMillis(250);
        var leases = configs.leaseManagementConfig()
                .failoverTimeMillis(options.failoverMillis())
                // How long a worker rests after it has made leases; it stands in the way of reading them.
                .shardSyncIntervalMillis(1_000);
        var coordinator = configs.coordinatorConfig().parentShardPollIntervalMillis(1_000);
        Mode.set(coordinator, options.get("mode", Mode.DEFAULT));
        var scheduler = new Scheduler(configs.checkpointConfig(), coordinator, leases, configs.lifecycleConfig(),
                configs.metricsConfig().metricsFactory(new NullMetricsFactory()), configs.processorConfig(),
                configs.retrievalConfig().retrievalSpecificConfig(polling));
        Runtime.getRuntime().addShutdownHook(new Thread(() -> stop(scheduler)));
        scheduler.run();
    }

    private static void stop(Scheduler scheduler) {
        try {
            scheduler.startGracefulShutdown().get(30, TimeUnit.SECONDS);
        } catch (Exception error) {
            System.err.println("no end in good order: " + error);
        }
    }

    private record Streams(List<String> names) implements MultiStreamTracker {
        @Override
        public List<StreamConfig> streamConfigList() {
            return names.stream().map(name -> new StreamConfig(StreamIdentifier.multiStreamInstance(name), START)).toList();
        }

        @Override
        public FormerStreamsLeasesDeletionStrategy formerStreamsLeasesDeletionStrategy() {
            return new NoLeaseDeletionStrategy();
        }
    }
}
