"""Simulated exchanges on loopback: real WebSocket servers over TLS that speak from the specs' own examples.

`tls` makes the throw-away authority, `market` invents books and trades, `wire` renders frames from examples, `venue` knows
which streams a connection asked for, `server` moves bytes, `command` is `k4 sim`. Nothing here uses the generated parsers:
what the simulator says is an independent statement of the spec. Imports nothing itself.
"""
