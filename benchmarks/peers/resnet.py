"""ResNet's training step in torch, of transformers' network (He et al. 2016)."""

import torch
from torch.nn import functional as F
import transformers


class Trainer:
    """One step of SGD with momentum on cross-entropy.

    Args:
      config: of a `resnet_classifier.ResNetClassifier`, whose rates are taken.
      depths: blocks of each stage, no bottlenecks.
      channels_last: memory format of the images.
      compiled: with torch.compile.
    """

    def __init__(self, config, depths, *, channels_last=False, compiled=False):
        width = config.model.width
        self.format = torch.channels_last if channels_last else torch.contiguous_format
        network = transformers.ResNetForImageClassification(
            transformers.ResNetConfig(
                embedding_size=width, hidden_sizes=[width * 2**i for i in range(len(depths))], depths=list(depths),
                layer_type="basic", num_labels=config.model.classes,
            )
        )  # fmt: skip
        network.to(memory_format=self.format).train()
        self.run = torch.compile(network) if compiled else network
        player = config.players.network
        self.optimizer = torch.optim.SGD(
            network.parameters(), player.learning_rate, momentum=0.9, weight_decay=player.weight_decay
        )

    def step(self, images, labels):
        """images [batch, 3, size, size], labels [batch] -> loss."""
        self.optimizer.zero_grad()
        loss = F.cross_entropy(self.run(images.contiguous(memory_format=self.format)).logits, labels)
        loss.backward()
        self.optimizer.step()
        return loss.item()
