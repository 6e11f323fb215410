"""The central pipeline of logagent: from labelled logs to the one bundle file an agent loads."""
