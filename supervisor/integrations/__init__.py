"""Adapters to training libraries, and the start-up hook that brings them into a trainer.

A supervised command's PYTHONPATH begins with `startup/`. Its `sitecustomize.py` puts a finder into
`sys.meta_path` (`hook`). When the program imports a library, the finder calls the adapter's
`patch(module)`. An adapter makes a `Training` for each training that begins, and speaks to the
supervisor through it alone. `record` keeps which training wrote which checkpoint. Loops without an
adapter give signs of life (`torch_loop`, `sign_of_life`).

In the trainer these files are `_train_supervisor.integrations`: `_train_supervisor` is the folder
`supervisor/` under a private name, so the trainer's interpreter needs none of this installed. So
this folder imports relatively, and from `worker` and the standard library alone, for Python 3.9 and
newer. An adapter imports its library in functions. No error here reaches the training.
"""
