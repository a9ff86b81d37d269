"""How a running attempt is watched from outside: its log, its counters, its stacks."""
