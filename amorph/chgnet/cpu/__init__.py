"""The network on the CPU, in compiled kernels."""
