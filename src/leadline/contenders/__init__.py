"""Ways to learn: deep, classical, and the baseline under them."""
