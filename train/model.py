"""A small character-level GPT, or the user's own model."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from train.config import TrainConfig
from train.errors import ConfigurationError
from train.factory import make


class Attention(nn.Module):
    """Causal self-attention."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.project_in = nn.Linear(width, 3 * width)
        self.project_out = nn.Linear(width, width)

    def forward(self, hidden: Tensor) -> Tensor:
        """(batch, block, width) to the same shape."""
        batch, block, width = hidden.shape
        split = self.project_in(hidden).view(batch, block, 3, self.heads, width // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(
            query, key, value, is_causal=True, dropout_p=self.dropout if self.training else 0.0
        )
        output: Tensor = self.project_out(mixed.transpose(1, 2).reshape(batch, block, width))
        return output


class Block(nn.Module):
    """Attention and a feed-forward part, each added to its input."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = Attention(width, heads, dropout)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, 4 * width),
            nn.GELU(),
            nn.Linear(4 * width, width),
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden: Tensor) -> Tensor:
        """(batch, block, width) to the same shape."""
        hidden = hidden + self.dropout(self.attention(self.attention_norm(hidden)))
        output: Tensor = hidden + self.dropout(self.feed_forward(hidden))
        return output


class CharacterGPT(nn.Module):
    """A GPT over characters: takes a block and the block shifted by one, returns the mean loss."""

    def __init__(
        self, vocabulary: int, block_size: int, layers: int, heads: int, width: int, dropout: float
    ) -> None:
        super().__init__()
        self.characters = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(block_size, width)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(Block(width, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary, bias=False)
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                # weights that feed the residual stream are scaled by its depth (GPT-2, section 2.3)
                ends_branch = name.endswith(("project_out.weight", "feed_forward.3.weight"))
                nn.init.normal_(parameter, std=0.02 / ((2 * layers) ** 0.5 if ends_branch else 1))
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)

    def forward(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Two (batch, block) tensors of character numbers to a scalar loss in nats."""
        positions = torch.arange(inputs.shape[1], device=inputs.device)
        hidden = self.dropout(self.characters(inputs) + self.positions(positions))
        for block in self.blocks:
            hidden = block(hidden)
        logits = self.head(self.norm(hidden))
        # flattened, since the 2-d form has no deterministic kernel on CUDA
        return functional.cross_entropy(logits.flatten(0, 1), targets.flatten())


def build_model(config: TrainConfig, vocabulary: int | None) -> nn.Module:
    """Make the configured model on the CPU, with weights drawn from torch's generator.

    `vocabulary` is the dataset's number of characters. Raises ConfigurationError.
    """
    if config.model.factory is not None:
        model = make(config.model.factory, config.model.args, "model")
        if not isinstance(model, nn.Module):
            raise ConfigurationError(f"model.factory made a {type(model).__name__}, not a Module")
        return model
    if vocabulary is None:
        raise ConfigurationError(
            "the character GPT needs to know how many characters there are:"
            " give the dataset a `vocabulary` attribute, or set model.factory"
        )
    return CharacterGPT(
        vocabulary=vocabulary,
        block_size=config.data.block_size,
        layers=config.model.layers,
        heads=config.model.heads,
        width=config.model.width,
        dropout=config.model.dropout,
    )


def canonical(name: str) -> str:
    """The name of a weight without torch.compile's prefixes, at any depth."""
    return name.replace("_orig_mod.", "")
