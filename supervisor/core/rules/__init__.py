"""The rules of the core: each is a pure function from facts to a verdict.

A reaction calls them with the state, the event and the time. They return values and keep nothing.
After a survey of the checkpoints, the reaction calls `restart_policy.decide`, which asks:

- `budget` counts durable progress and refills what restarts may cost;
- `completion` says whether an exit with 0 is the end of training;
- `saved_by_stop` says what a stop has saved;
- `outage` finds deaths that say nothing about the checkpoint, `disk_space` plans waits for room;
- `starting_point` and `checkpoint_choice` say what the next attempt resumes from.

The answer is one `decision.Decision`. While an attempt runs, `deadlines` says when it is overdue,
and `hang_evidence` judges what looks have shown. `patience` gives more time where an earlier
attempt was ended as hung. `step_counters` tells whether a trainer has resumed, `warm_launch` when
to have a spare interpreter, `goodput` where the time went. `resumption` makes a new daemon's state.
"""
