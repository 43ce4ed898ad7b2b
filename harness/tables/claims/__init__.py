"""What a paper says of its table: one file a kind of claim, each a test over the images; a table's YAML names them."""
