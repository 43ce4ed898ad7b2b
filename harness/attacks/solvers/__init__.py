"""The engine that carries out optimisation attacks, and its optimisers."""
