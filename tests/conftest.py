"""Settings shared by all tests."""

from hypothesis import settings

# A loaded machine is slow; no test may fail for that.
settings.register_profile("logagent", deadline=None)
settings.load_profile("logagent")
