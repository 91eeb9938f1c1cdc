"""Simulated exchanges on loopback: real WebSocket and HTTPS servers that speak from the specs' own examples.

`market` invents books and trades; `example`, `spell` and `wire` write them as an example has them; `voice` knows what a venue says and
answers, `venue` understands what is asked of it; `books` keeps subscribers' places in a book; `desk` is one product at work; `names`
and `rest` serve what is fetched; `replay` reads recordings, `load`, `pump` and `pace` send what was rendered before; `net` is one
connection, `client` what is known of it, `server` all of them; `door` accepts, `tls` makes the throw-away authority; `command` is `k4 sim`.
What goes wrong on purpose: `faults` is the table (its rows stand in `faulthandshake`, `faultframes`, `faultlink`, `faultdata`), `order`
what `--fault` says, `saboteur` does it, by `line` to connections and by `tamper` and `tampersbe` to messages.
Nothing here uses the generated parsers: what the simulator says is an independent statement of the spec. Imports nothing itself.
"""
