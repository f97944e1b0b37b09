"""One small job, side by side: our lane, a plain confluent-kafka loop, Bytewax and Quix Streams.

The job: vibration frames of 2,048 float32 on a topic → features → smoothed mean and deviation per channel, as state
that survives a restart → one JSON record per frame on another topic, at least once, a checkpoint every two seconds. All
programs share frames, kernels and encoding; each keeps its state as its framework means it to be kept.

The programs of peers run in environments of their own (``requirements-*.txt``): nothing but NumPy, SciPy, Numba and
msgspec may be imported by what they share.
"""
