"""`leeward backup`: what is kept of clusters, so that it can come back. Start reading at `commands`."""
