"""Assignments: their scripts, the notebooks generated from them, and what generates them."""
