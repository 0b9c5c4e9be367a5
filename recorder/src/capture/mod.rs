//! Kernel to bytes: loads the probes, reads their rings. The only module that knows aya.
