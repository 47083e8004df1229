"""`/schedules`: written, looked at with their slots, and seen off."""
