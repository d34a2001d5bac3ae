"""The ways in: the command line, the Prefect API and the stack of one machine, deployments."""
