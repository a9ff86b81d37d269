"""Why an attempt died: from its ending and its log to a name and an action.

It must import nothing, so that `supervisor.diagnosis.failure` costs no more than its records.
"""
