"""`leeward cluster`: the clusters that Leeward looks after."""
