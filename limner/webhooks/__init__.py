"""Webhooks: other apps are told that a batch has ended, signed as Standard Webhooks says, and told again until heard.

What is to be told stands in the ledger's outbox. Knows nothing of batches.
"""
