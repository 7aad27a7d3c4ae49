package kcl;

import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;

/** A JSON line on standard output for each call and each record, as the example `consume` writes them. */
final class Trace {
    private static final FileOutputStream OUT = new FileOutputStream(FileDescriptor.out);

    private final String worker;
    private final String shard;
    private final StringBuilder lines = new StringBuilder();

    Trace(String worker, String shard) {
        this.worker = worker;
        this.shard = shard;
    }

    private StringBuilder begin(String event) {
        return lines.append("{\"t\":").append(System.currentTimeMillis()).append(",\"worker\":\"").append(worker)
                .append("\",\"event\":\"").append(event).append("\",\"shard\":\"").append(shard).append('"');
    }

    void event(String event) {
        begin(event).append("}\n");
        write();
    }

    void initialize(String at) {
        begin("initialize").append(",\"at\":\"").append(at).append("\"}\n");
        write();
    }

    /** Written with {@link #write}, a batch at once. */
    void record(String sequence, long sub, String key) {
        begin("record").append(",\"sequence\":\"").append(sequence).append("\",\"sub\":").append(sub)
                .append(",\"key\":\"").append(key).append("\"}\n");
    }

    /** The lines are with the system when this returns. */
    void write() {
        byte[] bytes = lines.toString().getBytes(StandardCharsets.UTF_8);
        lines.setLength(0);
        synchronized (OUT) {
            try {
                OUT.write(bytes);
            } catch (IOException error) {
                throw new UncheckedIOException(error);
            }
        }
    }
}
