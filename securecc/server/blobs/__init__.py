"""Uploaded files by digest."""
