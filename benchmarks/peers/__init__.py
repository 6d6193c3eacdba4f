"""The same architectures written plainly in torch, to be measured against."""
