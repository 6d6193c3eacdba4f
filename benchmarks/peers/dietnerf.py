"""DietNeRF's training steps in plain torch: NeRF's, and at every tenth a whole view in the feature space of CLIP."""

import torch
from torch.nn import functional as F
from torch.utils import checkpoint
import transformers

from benchmarks.peers import nerf


class Trainer(nerf.Trainer):
    """Steps of Adam on colours of rays and, with ViT-B/32 of random weights, on the semantic consistency.

    Args:
      config: of a `dietnerf.DietNeRF`, whose sizes and weights are taken.
      view: origins and directions of the rays of a whole view, [rays, 3] each, the same at every step.
    """

    def __init__(self, config, view):
        self.model, self.every, self.number = config.model, config.players.consistency.every, 0
        super().__init__(self.model.width, self.model.coarse_samples, self.model.fine_samples)
        sizes = transformers.CLIPVisionConfig(hidden_act="quick_gelu")  # By default ViT-B/32's.
        self.encoder = transformers.CLIPVisionModel(sizes).eval().requires_grad_(False)
        self.view, self.target = view, torch.randn(sizes.hidden_size)

    def consistency(self):
        """Equation 5, rendered in parts, each again for the gradient."""
        parts = zip(*(x.split(self.model.chunk) for x in self.view))
        parts = [checkpoint.checkpoint(self.render, *part, use_reentrant=False) for part in parts]
        views = torch.stack([torch.cat(colours) for colours in zip(*parts)])
        views = views.reshape(2, self.model.render, self.model.render, 3).permute(0, 3, 1, 2).clamp(0, 1)
        views = F.interpolate(views, (self.model.encoder_size,) * 2, mode="bilinear")
        seen = self.encoder(views).last_hidden_state[:, 0]
        cosine = torch.cosine_similarity(self.target[None], seen)
        return -self.model.coarse_weight * cosine[0] - self.model.fine_weight * cosine[1]

    def step(self, origin, direction, truth, parts=1):
        self.optimizer.zero_grad()
        if self.number % self.every == 0:
            self.consistency().backward()
        self.number += 1
        total = self.gradients(origin, direction, truth, parts)
        self.optimizer.step()
        return total
