package kcl;

import software.amazon.kinesis.coordinator.CoordinatorConfig;

/** The KCL 2.x has one mode. */
final class Mode {
    static final String DEFAULT = "2x";

    private Mode() {}

    static void set(CoordinatorConfig config, String mode) {
        if (!mode.equals(DEFAULT)) {
            throw new IllegalArgumentException("the KCL 2.x has no mode " + mode);
        }
    }
}
