"""What the OOM killer thinks of a process: a service's protection is for the supervisor alone."""

_OOM_SCORE_ADJ = "/proc/self/oom_score_adj"


def share_the_oom_killer() -> None:
    """Give up a protection from the OOM killer, between the fork and the exec of a child.

    Inherited by a user's program, it would make the kernel kill everything else first.
    """
    try:
        with open(_OOM_SCORE_ADJ, encoding="ascii") as file:
            score = int(file.read())
        if score < 0:
            with open(_OOM_SCORE_ADJ, "w", encoding="ascii") as file:
                file.write("0")
    except OSError:
        return  # a /proc mounted read-only: the score stays what the container gave
