"""What a kind and a contender are: the protocols that all packages above share."""
