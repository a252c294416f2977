"""What a run leaves: its folder, result.json, thumbnails, the way of one row, and the list of runs."""
