"""Debiasing by looking: a round of looking, selecting, translating and retraining (Kwon et al., EuroVis 2022)."""
