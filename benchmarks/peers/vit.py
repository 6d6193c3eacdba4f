"""ViT's training step in plain torch (Dosovitskiy et al. 2021), dropout and stochastic depth included."""

import torch
from torch import nn
from torch.nn import functional as F


class Block(nn.Module):
    def __init__(self, width, mlp, heads, dropout, drop_path):
        super().__init__()
        self.norm1, self.norm2 = (nn.LayerNorm(width, eps=1e-6) for _ in range(2))
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.expand, self.contract = nn.Linear(width, mlp), nn.Linear(mlp, width)
        self.heads, self.dropout, self.drop_path = heads, dropout, drop_path

    def branch(self, x):
        """Dropout, then the branch left out for some examples."""
        x = F.dropout(x, self.dropout)
        if not self.drop_path:
            return x
        keep = torch.rand(len(x), 1, 1) >= self.drop_path
        return x * keep / (1 - self.drop_path)

    def forward(self, x):
        batch, tokens, width = x.shape
        qkv = self.qkv(self.norm1(x)).reshape(batch, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(*qkv).transpose(1, 2).reshape(batch, tokens, width)
        x = x + self.branch(self.out(attended))
        hidden = F.dropout(F.gelu(self.expand(self.norm2(x))), self.dropout)
        return x + self.branch(self.contract(hidden))


class ViT(nn.Module):
    def __init__(self, size, patch, image, classes, dropout, drop_path):
        super().__init__()
        self.patch, self.dropout = patch, dropout
        self.embed = nn.Conv2d(3, size.width, patch, patch)
        self.token = nn.Parameter(torch.zeros(1, 1, size.width))
        self.positions = nn.Parameter(0.02 * torch.randn(1, (image // patch) ** 2 + 1, size.width))
        rates = [drop_path * i / max(size.depth - 1, 1) for i in range(size.depth)]
        self.blocks = nn.ModuleList(
            Block(size.width, size.mlp, size.heads, dropout, rate) for rate in rates
        )
        self.norm, self.head = nn.LayerNorm(size.width, eps=1e-6), nn.Linear(size.width, classes)

    def forward(self, images):
        x = self.embed(images).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(len(x), -1, -1), x], 1) + self.positions
        x = F.dropout(x, self.dropout)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)[:, 0])


class Trainer:
    """One step of AdamW on cross-entropy, gradients clipped.

    Args:
      config: of a `classifier.Classifier`, whose sizes and rates are taken.
      size: its `nets.vit.Size`.
      channels_last: memory format of the images.
      compiled: with torch.compile.
    """

    def __init__(self, config, size, *, channels_last=False, compiled=False):
        m = config.model
        self.format = torch.channels_last if channels_last else torch.contiguous_format
        self.network = ViT(size, m.patch, config.data.size, m.classes, m.dropout, m.drop_path)
        self.network.to(memory_format=self.format)
        self.run = torch.compile(self.network) if compiled else self.network
        player = config.players.network
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), player.learning_rate, (player.b1, player.b2),
            weight_decay=player.weight_decay,
        )  # fmt: skip
        self.clip = player.clip

    def step(self, images, labels):
        """images [batch, 3, size, size] in [-1, 1], labels [batch] -> loss."""
        self.optimizer.zero_grad()
        loss = F.cross_entropy(self.run(images.contiguous(memory_format=self.format)), labels)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), self.clip)
        self.optimizer.step()
        return loss.item()
