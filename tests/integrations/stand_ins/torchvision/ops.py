"""Non-maximum suppression, as torchvision documents it."""

import torch


def nms(boxes: torch.Tensor, scores: torch.Tensor, iou_threshold: float) -> torch.Tensor:
    """The indices of boxes that no better box covers by more than the threshold, best first."""
    kept: list[int] = []
    area = (boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(1)
    for index in scores.argsort(descending=True, stable=True).tolist():
        corner = torch.maximum(boxes[index, :2], boxes[kept, :2])
        opposite = torch.minimum(boxes[index, 2:], boxes[kept, 2:])
        shared = (opposite - corner).clamp(min=0).prod(1)
        if not bool((shared > iou_threshold * (area[index] + area[kept] - shared)).any()):
            kept.append(index)
    return torch.tensor(kept, dtype=torch.long)
