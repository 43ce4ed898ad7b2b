"""How fast the engine is beside the authors' way, measured and never tested."""
