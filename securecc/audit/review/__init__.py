"""Totals and anomalies of a log."""
