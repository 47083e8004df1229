"""What people see of restores."""
