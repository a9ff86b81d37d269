"""Decisions: facts and time in, decisions out. No I/O, no clock, no threads, no processes.

The daemon turns everything that it learns into an event (`events`). For each event it calls
`step.step(state, event, now)`, and gets the next state and the effects (`effects`) to perform.
Inside, `step` picks a function of `reactions/`. It says which condition it found, which facts of
the state change, and which effects follow. `table` has one row for each state, event and condition,
and names the next state. Where no row stands, `step` raises and nothing has changed.
`rules/` holds the judgements that reactions ask for: pure functions from facts to a verdict.

Whatever must outlive the daemon is an entry of the ledger (`entries/`). A new daemon reads the
ledger, `replay.fold` sums it up into a `history`, and `rules/resumption` makes its first state.
`vocabulary` has the words that all parts of the supervisor share, `status` is `status.json`.

What always holds: the same state, event and time give the same answer, so that a test replays hours
in microseconds. Times are arguments. Values are frozen; a reaction returns a changed copy.
"""
