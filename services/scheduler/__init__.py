"""The clock: turns schedules into decisions, one for every slot, and those into commands. It owns time, and nothing else."""
