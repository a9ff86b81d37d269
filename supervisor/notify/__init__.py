"""Messages to people when a run needs them, and pings for a dead man's switch.

`occasions` finds in the ledger what people may want to know, `outbox` says when which of it is
sent, `message` puts it into words, and `delivery` has a child process (`__main__`) send it. Only
the child imports apprise. The addresses hold secrets: they reach the child by its standard input,
and nothing of them is printed or recorded.
"""
