"""When a schedule is due: the one reading of cron expressions. croniter and the standard library only; `now` is an argument."""
