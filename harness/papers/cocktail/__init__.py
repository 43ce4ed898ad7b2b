"""What is particular to the cocktail party attack (Kariyappa et al. 2023)."""
