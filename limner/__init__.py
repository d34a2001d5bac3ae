"""Limner's craft: plain Python that knows nothing of Prefect."""
