"""`/restores`: what one would meet, asked for, looked at, deleted."""
