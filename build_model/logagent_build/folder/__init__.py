"""A folder of logs to a verified bundle: read, label, train, verify, report, in one command."""
