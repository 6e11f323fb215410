"""Repair of labels: MaidLog's calibration (§III-B), and our strategy that begins with clusters."""
