"""WHAT is made: one file a product; only flows."""
