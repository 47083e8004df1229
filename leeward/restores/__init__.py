"""`leeward restore`: what was backed up is brought back, into the same cluster or another one."""
