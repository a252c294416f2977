"""Why a shipped file gives its answers, from the file alone; and how far each explanation can be trusted."""
