"""HOW it runs: the press as Prefect tasks, with retries, run names and artifacts."""
