"""Configs: reading them, fitting them to data, and checking them before anything is built."""
