"""HOW FAST: one script a claim, each printing a ratio. Never installed, never timed by a test."""
