"""What people see of schedules, ours and Velero's own, and what they are judged by."""
