"""Measurements side by side with peers, in the same run on the same machine."""
