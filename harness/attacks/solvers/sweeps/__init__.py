"""A residual network differentiated by hand, for all problems at once: see `network`."""
