"""CLIP's training step by transformers' CLIPModel (Radford et al. 2021)."""

import torch
import transformers


class Trainer:
    """One step of AdamW on the symmetric loss.

    Args:
      config: of a `clip.CLIP` with a ViT, whose sizes and rates are taken.
      channels_last: memory format of the images.
      compiled: with torch.compile.
    """

    def __init__(self, config, *, channels_last=False, compiled=False):
        model, player = config.model, config.players.network
        self.format = torch.channels_last if channels_last else torch.contiguous_format
        tower = lambda width, depth: dict(
            hidden_size=width,
            intermediate_size=4 * width,
            num_hidden_layers=depth,
            num_attention_heads=width // model.head,
            hidden_act=model.activation,
        )
        end = model.vocabulary - 1
        text = dict(vocab_size=model.vocabulary, max_position_embeddings=config.data.text_length)
        text |= dict(eos_token_id=end, bos_token_id=end - 1, pad_token_id=0)
        self.network = transformers.CLIPModel(
            transformers.CLIPConfig(
                projection_dim=model.embedding,
                text_config=tower(model.text_width, model.text_layers) | text,
                vision_config=tower(model.image_width, model.image_layers)
                | dict(image_size=config.data.size, patch_size=model.patch),
            )
        ).to(memory_format=self.format)
        self.run = torch.compile(self.network) if compiled else self.network
        decayed = lambda name: not name.endswith("bias") and "norm" not in name and name != "logit_scale"
        groups = [
            dict(params=[p for n, p in self.network.named_parameters() if decayed(n) == yes], weight_decay=weight)
            for yes, weight in ((True, player.weight_decay), (False, 0.0))
        ]
        self.optimizer = torch.optim.AdamW(groups, player.learning_rate, (player.b1, player.b2), player.epsilon)

    def step(self, images, tokens):
        """images [batch, 3, size, size] normalised, tokens [batch, length] -> loss."""
        self.optimizer.zero_grad()
        images = images.contiguous(memory_format=self.format)
        loss = self.run(input_ids=tokens, pixel_values=images, return_loss=True).loss
        loss.backward()
        self.optimizer.step()
        return loss.item()
