"""Plots of many runs: one file per kind, each from a frame to the numbers behind it, and from those to a figure."""
