"""Guo et al., "A Deep Dive into Gradient Inversion Attacks": what of it can be settled."""
