"""Gradient-inversion attacks on federated learning: papers' tables, regenerated."""
