"""Generative priors: what an attacker may have learnt from public images."""
