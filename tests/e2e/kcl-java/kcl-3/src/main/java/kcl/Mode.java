package kcl;

import software.amazon.kinesis.coordinator.CoordinatorConfig;
import software.amazon.kinesis.coordinator.CoordinatorConfig.ClientVersionConfig;

/** Which version a worker of the KCL 3.x says it is of. */
final class Mode {
    static final String DEFAULT = "CLIENT_VERSION_CONFIG_3X";

    private Mode() {}

    static void set(CoordinatorConfig config, String mode) {
        config.clientVersionConfig(ClientVersionConfig.valueOf(mode));
    }
}
