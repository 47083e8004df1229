"""`leeward location` and `leeward snapshot-location`: where backups and snapshots are kept. Both by the same commands."""
