"""Sweeps as data: a grid of settings, its runs, and the plots and the CSV that show it."""
