"""Real API servers and a real Velero, without containers: what counts is what they do, not what we think they do."""
