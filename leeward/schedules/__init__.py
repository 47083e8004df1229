"""`leeward schedule`: when backups are made by themselves, and what became of each time. Start reading at `commands`."""
