"""Reactions: what comes of an event, by the state that the run is in.

`core.step` calls one function for each event, with the state, the event and the time (monotonic
seconds). It returns a `reaction.Reaction`: the condition that it found, the changed facts, and the
effects to perform. A reaction does not choose the next state of the run: its condition selects a
row of `core.table`, and that row names the state.

`attempts` answers starts and ends, `survey` what is known of the checkpoints: there decisions are
carried out. `poll` answers each look at a running attempt, and the clock. Where an attempt is
overdue `hang_looks` takes over, and `kill` ends it. `left_behind`, `ranks_gone` and
`ignored_resume` cover an attempt that lives in another way than it should. `operator` and `stop`
answer signals, intents and a daemon's beginning; `persist_snapshot` the memory tier, `wait` a cause
that clears by itself, `launch_hook` the hook that may refuse a launch. `hold` and `records` say how
a hold and an end go on record.

What always holds: what the next daemon must know is recorded by an effect of the same reaction.
"""
