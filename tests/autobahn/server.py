"""Autobahn's fuzzing server with TLS, under Python 2.7: `server.py FOLDER SPEC CHAIN`. Its own program forgets the certificate in this mode."""

import json
import site
import sys

site.addsitedir(sys.argv[1])

from autobahntestsuite.fuzzing import startServer  # type: ignore[import-not-found]
from twisted.internet import reactor  # type: ignore[import-not-found]

with open(sys.argv[2]) as file:  # noqa: PTH123 (Python 2.7)
    startServer(json.load(file), 0, sslKey=sys.argv[3], sslCert=sys.argv[3])
reactor.run()
