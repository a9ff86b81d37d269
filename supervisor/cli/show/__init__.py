"""How a run is shown to a person.

`cli/record.py` reads a run once, as a `RunRecord`. From it `summary.py` makes the lines of `status`
and `stop`. The live display of `run` draws the same facts: `display.py` lays them out. `view.py` is
the process that redraws them until the launcher ends it.

`advice.py` says for each state what to type next. `unheard_intent.py` says it where no supervisor
can act on a wish. `launching.py`, `memory_tier.py` and `slurm_queue.py` each put one part of the
record into words.

`events` gets its sentences from `ledger_sentences.py`. `logs` finds the files with `log_parts.py`
and writes them through `log_view.py`.

What always holds: these modules change nothing of a run. Names and log lines come from elsewhere,
so they pass `strip_controls` (`terminal.py`) before they are printed. Only `display.py` and
`view.py` import rich, so that `status` stays quick.
"""
