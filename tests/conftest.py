"""Settings shared by all tests."""

import os

# Tests run in as many processes as there are cores: each has one thread, or libraries that take
# every core wait for each other. Before any of them is imported.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

from hypothesis import settings  # noqa: E402  # after the environment

# A loaded machine is slow; no test may fail for that.
settings.register_profile("logagent", deadline=None)
settings.load_profile("logagent")
