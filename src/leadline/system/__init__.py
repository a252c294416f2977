"""What Leadline asks of the system beneath it; imports nothing of Leadline but its errors."""
