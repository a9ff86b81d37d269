"""What is known about deaths, as data: each rule is a pattern with a name and an action.

`rule.py` says what a rule is, and matches all of them to many lines at once. `table.py` has them in
order; special rules stand before general ones. The other modules are the rules themselves, one
module for each source of messages: `collectives`, `device`, `scheduler`, `memory`, `storage`,
`training`, `checkpoints`, `software`, `configuration`, `outside`, `deaths`.

Each rule carries a line as an example, where that line was seen, and advice for the user.
`advice.py` has the advice for a failure where its rule has none.

What always holds: a rule decides nothing. `weighing` compares all that match, and the exit comes
first. A rule that holds the run asks for an exception's own line, or for a driver's words.
"""
