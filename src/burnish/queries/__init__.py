"""Queries and judgments that people gave."""
