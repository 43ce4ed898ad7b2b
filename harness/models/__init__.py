"""Victim networks: one architecture per file."""
