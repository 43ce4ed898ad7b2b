"""Tunings as data: rows whose settings are searched, as often as each other, on images set apart."""
