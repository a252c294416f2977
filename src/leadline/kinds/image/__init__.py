"""Images: the kind, and the augmentation of batches of them."""
