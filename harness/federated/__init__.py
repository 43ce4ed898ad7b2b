"""What a client computes from its data and sends."""
