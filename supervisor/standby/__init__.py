"""A spare interpreter with the imports done that becomes the next trainer; stdlib only.

It is started with the user's own interpreter and options and stops inside `import site`, before
Python runs any program. At "go" it returns, and Python itself runs the user's program as it would
have: no frame of ours is beneath it.
"""
