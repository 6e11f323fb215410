"""Sequences of events on the edge: sessions and windows of templates, and their verdicts."""
