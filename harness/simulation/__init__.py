"""Federated rounds: clients, server, and who takes part when."""
