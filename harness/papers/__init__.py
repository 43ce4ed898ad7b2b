"""What one paper alone needs."""
