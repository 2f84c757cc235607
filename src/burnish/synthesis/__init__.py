"""Queries that a language model, or the text itself, makes for a passage."""
