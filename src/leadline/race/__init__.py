"""All contenders under one budget, in worker processes, written down as they go."""
