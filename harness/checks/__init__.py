"""What a client looks at before it trains and sends."""
