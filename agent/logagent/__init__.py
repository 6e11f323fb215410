"""logagent: is anything wrong in these logs? The edge agent."""

__version__ = "0.1.0"
