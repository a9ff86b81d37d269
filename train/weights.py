"""Checks whether a saved state fits this model. Nothing is changed before all is checked."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from train.errors import ConfigurationError
from train.model import canonical
from train.optimizer import AdamW

_LISTED = 20


def fit_weights(
    saved: Mapping[str, Any], wanted: Mapping[str, Tensor], what: str
) -> dict[str, Tensor]:
    """Rename saved weights to the names of `wanted`, with or without torch.compile's prefix.

    Raises ConfigurationError that lists missing keys, unexpected keys and differing shapes.
    """
    targets = {canonical(name): name for name in wanted}
    sources: dict[str, str] = {}
    twice: list[str] = []
    for name in saved:
        if sources.setdefault(canonical(name), name) != name:
            twice.append(f"there twice, with and without _orig_mod.: {canonical(name)}")
    problems = _listed("missing", [name for name in targets if name not in sources])
    problems += _listed("unexpected", [name for name in sources if name not in targets])
    problems += twice
    fitting: dict[str, Tensor] = {}
    differing: list[str] = []
    for name, target in targets.items():
        if name not in sources:
            continue
        value = saved[sources[name]]
        if not isinstance(value, Tensor):
            differing.append(f"{name} is a {type(value).__name__}, not a tensor")
        elif value.shape != wanted[target].shape:
            differing.append(
                f"{name} {_shape(value)} in the checkpoint, {_shape(wanted[target])} here"
            )
        else:
            fitting[target] = value
    problems += _listed("shape differs", differing)
    if problems:
        raise ConfigurationError(
            f"{what} does not fit this model; nothing was loaded. Resume with the model"
            " configuration it was saved with, or start a new run in another output directory",
            tuple(problems),
        )
    return fitting


def fit_optimizer(saved: Any, optimizer: AdamW, what: str) -> dict[str, Any]:
    """A state dict for `optimizer` with the saved moments and the present hyperparameters.

    So a changed weight decay takes effect, and flags of another device or torch version are
    dropped. Raises ConfigurationError if the moments do not belong to these parameters.
    """
    try:
        saved_groups = saved["param_groups"]
        saved_state = saved["state"]
        saved_order = [index for group in saved_groups for index in group["params"]]
    except (KeyError, TypeError) as error:
        raise ConfigurationError(f"{what} is not the state of an optimizer ({error!r})") from error
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    problems: list[str] = []
    if len(saved_groups) != len(optimizer.param_groups):
        problems.append(
            f"{len(saved_groups)} parameter groups in the checkpoint,"
            f" {len(optimizer.param_groups)} here"
        )
    elif len(saved_order) != len(parameters):
        problems.append(f"{len(saved_order)} parameters in the checkpoint, {len(parameters)} here")
    else:
        for number, (index, parameter) in enumerate(zip(saved_order, parameters, strict=True)):
            moments = saved_state.get(index, {})
            if moments and not {"step", "exp_avg", "exp_avg_sq"} <= moments.keys():
                problems.append(f"of another optimizer than AdamW: it has {', '.join(moments)}")
                break
            if moments and moments["exp_avg"].shape != parameter.shape:
                problems.append(
                    f"shape differs: parameter {number} {_shape(moments['exp_avg'])} in the"
                    f" checkpoint, {_shape(parameter)} here"
                )
    if problems:
        raise ConfigurationError(
            f"{what} does not fit this optimizer; nothing was loaded", tuple(problems)
        )
    groups = optimizer.state_dict()["param_groups"]
    for group, saved_group in zip(groups, saved_groups, strict=True):
        group["params"] = saved_group["params"]
    return {"state": saved_state, "param_groups": groups}


def apply_weights(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Load weights that `fit_weights` has checked."""
    model.load_state_dict(dict(weights), strict=True)


def _listed(label: str, names: list[str]) -> list[str]:
    more = len(names) - _LISTED
    listed = [f"{label}: {name}" for name in names[:_LISTED]]
    return [*listed, f"{label}: and {more} more"] if more > 0 else listed


def _shape(tensor: Tensor) -> str:
    return "×".join(map(str, tensor.shape)) or "scalar"
