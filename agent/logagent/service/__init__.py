"""`logagent run`: the long-running agent. It is started by ``python -m logagent.service``."""
