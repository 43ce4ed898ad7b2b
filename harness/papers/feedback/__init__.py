"""What the table of feedback blending shows beside its cells: curves, bars, strips and paired tests."""
