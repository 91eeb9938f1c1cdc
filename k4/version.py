"""The version, alone, so that packaging can read it without anything else. Imports nothing."""

VERSION = "0.1.0"
