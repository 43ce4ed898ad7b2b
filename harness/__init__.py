"""Gradient-inversion attacks on federated learning: papers' tables, regenerated."""

import os

# Before MKL multiplies for the first time: let its products not depend on where in memory a matrix happens to lie.
os.environ.setdefault("MKL_CBWR", "AUTO,STRICT")

# Modules that have moved are still found by the names under which people start them.
__path__.append(os.path.join(os.path.dirname(__file__), "earlier"))
