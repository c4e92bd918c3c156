"""Whom to believe, and what then is true: models of annotators and items, fitted together."""
