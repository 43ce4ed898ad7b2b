"""Scores of a reconstruction: one metric per file, composed by `scores`."""
