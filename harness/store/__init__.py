"""Runs on disk: written safely, read with suspicion, asked and filtered."""
