package kcl;

import java.net.URI;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** What a worker is told: {@code --name value}, each at most once. */
final class Options {
    private final Map<String, String> given = new HashMap<>();

    Options(String[] arguments) {
        if (arguments.length % 2 != 0) {
            throw new IllegalArgumentException("an option without a value");
        }
        for (int at = 0; at < arguments.length; at += 2) {
            if (!arguments[at].startsWith("--") || given.put(arguments[at].substring(2), arguments[at + 1]) != null) {
                throw new IllegalArgumentException("not an option, or given twice: " + arguments[at]);
            }
        }
    }

    String get(String name, String unless) {
        return given.getOrDefault(name, unless);
    }

    private String needed(String name) {
        String value = given.get(name);
        if (value == null) {
            throw new IllegalArgumentException("missing: --" + name);
        }
        return value;
    }

    String application() {
        return needed("application");
    }

    String worker() {
        return needed("worker");
    }

    /** One name, or several as {@code account:stream:creation}. */
    List<String> streams() {
        return List.of(needed("streams").split(","));
    }

    URI kinesis() {
        return URI.create(needed("kinesis"));
    }

    URI dynamo() {
        return URI.create(needed("dynamo"));
    }

    long failoverMillis() {
        return Long.parseLong(get("failover-ms", "10000"));
    }

    /** What is prepared with each batch in place of a checkpoint, or null. */
    String prepare() {
        return get("prepare", null);
    }
}
