package kcl;

import java.nio.charset.StandardCharsets;
import software.amazon.kinesis.exceptions.InvalidStateException;
import software.amazon.kinesis.exceptions.ShutdownException;
import software.amazon.kinesis.lifecycle.events.InitializationInput;
import software.amazon.kinesis.lifecycle.events.LeaseLostInput;
import software.amazon.kinesis.lifecycle.events.ProcessRecordsInput;
import software.amazon.kinesis.lifecycle.events.ShardEndedInput;
import software.amazon.kinesis.lifecycle.events.ShutdownRequestedInput;
import software.amazon.kinesis.processor.RecordProcessorCheckpointer;
import software.amazon.kinesis.processor.ShardRecordProcessor;

/** Traces what it is given and makes a checkpoint after each batch, or prepares one. */
final class Processor implements ShardRecordProcessor {
    private final String worker;
    private final String prepare;
    private Trace trace;

    Processor(String worker, String prepare) {
        this.worker = worker;
        this.prepare = prepare;
    }

    @Override
    public void initialize(InitializationInput input) {
        trace = new Trace(worker, input.shardId());
        var at = input.extendedSequenceNumber();
        trace.initialize(at.sequenceNumber());
    }

    @Override
    public void processRecords(ProcessRecordsInput input) {
        input.records().forEach(record -> trace.record(record.sequenceNumber(), record.subSequenceNumber(), record.partitionKey()));
        trace.write();
        if (!input.records().isEmpty()) {
            checkpoint(input.checkpointer());
        }
    }

    private void checkpoint(RecordProcessorCheckpointer checkpointer) {
        try {
            if (prepare == null) {
                checkpointer.checkpoint();
            } else {
                checkpointer.prepareCheckpoint(prepare.getBytes(StandardCharsets.UTF_8));
            }
        } catch (ShutdownException | InvalidStateException error) {
            // The lease is somebody else's by now, who begins at the last checkpoint.
            trace.event("not_stored");
        }
    }

    @Override
    public void leaseLost(LeaseLostInput input) {
        trace.event("lease_lost");
    }

    @Override
    public void shardEnded(ShardEndedInput input) {
        try {
            input.checkpointer().checkpoint();
        } catch (ShutdownException | InvalidStateException error) {
            throw new IllegalStateException(error);
        }
        trace.event("shard_ended");
    }

    @Override
    public void shutdownRequested(ShutdownRequestedInput input) {
        trace.event("shutdown_requested");
        if (prepare == null) {
            checkpoint(input.checkpointer());
        }
    }
}
