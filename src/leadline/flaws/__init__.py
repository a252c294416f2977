"""What is wrong with the data, what each flaw costs, and the data without it."""
