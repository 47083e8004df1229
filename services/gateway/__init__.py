"""HTTP API for people, UIs and scripts: validates, publishes commands, reads projections."""
