"""Ways to learn: deep, classical, and the floor under them."""
