"""Hooks: a user's commands that are run when something happens to a run.

`occasions` finds in the ledger what happened, `facts` says what a hook is told of it, and
`hook_child` starts the child process (`__main__`) that runs one hook, keeps its output
(`kept_output`) and ends all that it leaves behind. Which hook runs when is decided by
`daemon/act/hooks.py`; `before_launch` alone is asked for by the core, since it may refuse.
"""
