"""Reading: a book's bytes into chapters, a chapter into descriptions, by rules that a person can read.

Knows nothing of prompts, providers or storage, and asks no model.
"""
