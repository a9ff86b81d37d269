"""Trainers in the model: they step, finish, save on a stop, fail, and hang."""

from collections.abc import Iterator

from tests.model.world import Status, Trainer, World

STEPS = 1
KILLED: Status = (None, 9)


def stop_trainers(world: World, number: int | None = None, *, kill: bool = False) -> World:
    """Send SIGTERM or SIGKILL to the trainers of an attempt, or of all attempts."""

    def told(trainer: Trainer) -> Trainer:
        if trainer.status is not None or number not in (None, trainer.number):
            return trainer
        if kill:
            return trainer._replace(status=KILLED)
        return trainer._replace(is_stopping=True)

    return bury(world._replace(trainers=tuple(told(one) for one in world.trainers)))


def bury(world: World) -> World:
    """Remove trainers that have ended without a launcher."""
    kept = tuple(one for one in world.trainers if one.status is None or not one.is_orphan)
    return world._replace(trainers=kept)


def living(world: World) -> list[Trainer]:
    """The trainers that run."""
    return [one for one in world.trainers if one.status is None]


def moves(world: World) -> Iterator[tuple[str, World, bool]]:
    """The moves that each trainer can make next."""
    files = world.files
    for index, trainer in enumerate(world.trainers):
        if trainer.status is not None:
            continue

        def ends(status: Status, index: int = index, trainer: Trainer = trainer) -> World:
            changed = list(world.trainers)
            changed[index] = trainer._replace(status=status)
            return bury(world._replace(trainers=tuple(changed)))

        name = f"trainer {trainer.number}"
        if not trainer.is_deaf:
            if trainer.is_stopping:
                saved = files._replace(checkpoint=max(files.checkpoint, 1))
                yield f"{name}: saves and exits", ends((75, None))._replace(files=saved), False
            elif files.checkpoint < STEPS:
                after = world._replace(files=files._replace(checkpoint=files.checkpoint + 1))
                yield f"{name}: steps", after, False
            elif not files.has_final:
                final = world._replace(files=files._replace(has_final=True))
                yield f"{name}: saves the end", final, False
            else:
                yield f"{name}: finishes", ends((0, None)), False
        if world.budget.trainer_faults:
            left = world.budget._replace(trainer_faults=world.budget.trainer_faults - 1)
            yield f"{name}: is killed", ends(KILLED)._replace(budget=left), True
            if not trainer.is_deaf:
                changed = list(world.trainers)
                changed[index] = trainer._replace(is_deaf=True)
                hung = world._replace(trainers=tuple(changed), budget=left)
                yield f"{name}: hangs", hung, True
