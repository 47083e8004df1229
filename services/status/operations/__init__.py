"""What was asked for, and what people see of it."""
