"""Measuring models: parameters, multiply-adds, and the table of the model zoo."""
