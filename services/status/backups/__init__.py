"""What people see of backups."""
