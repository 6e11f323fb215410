"""Anomalies of order and absence: FlexLog on sequences, from data sets to a bundle's part."""
