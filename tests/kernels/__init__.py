"""What the tests of several code generators share: operands with known results, kernels scheduled
by hand, and the shortest way to run one kernel on a device."""
