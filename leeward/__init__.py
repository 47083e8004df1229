"""The `leeward` command: a client of the HTTP API, and the whole system on one machine for those who try it."""
