"""Configs, the environment, and what newer versions of other packages broke."""
