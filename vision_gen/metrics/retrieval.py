"""Retrieval: is what belongs to a query among the first that are found for it."""

import numpy as np

QUERIES_AT_A_TIME = 1024


def recall_at_k(queries, items, ks, *, query_group=None, item_group=None):
    """Share of queries with an item of their own among the k most similar.

    Similarity is the dot product; normalise both for cosines. Images by texts and texts by images are two calls, with
    the arguments exchanged. Where items are equally similar, the expectation over every order of them counts, so
    constant embeddings score what guessing does.

    Args:
      queries: [queries, features].
      items: [items, features].
      ks: how many of the most similar items count.
      query_group, item_group: [queries] and [items]; an item is a query's own where the two are equal, such as five
        captions of one picture. By default query i's own is item i alone.

    Returns:
      {k: share in [0, 1]}.

    Raises:
      ValueError: shapes do not go together, numbers are not finite, a k is under 1, or a query has no item of its own.
    """
    queries, items = np.asarray(queries, np.float32), np.asarray(items, np.float32)
    query_group = np.arange(len(queries)) if query_group is None else np.asarray(query_group)
    item_group = np.arange(len(items)) if item_group is None else np.asarray(item_group)
    if queries.ndim != 2 or items.ndim != 2 or queries.shape[1] != items.shape[1]:
        raise ValueError(f"queries and items must be [number, features], got {queries.shape} and {items.shape}")
    if query_group.shape != (len(queries),) or item_group.shape != (len(items),):
        raise ValueError(f"groups must have one entry each, got {query_group.shape} and {item_group.shape}")
    if not (np.isfinite(queries).all() and np.isfinite(items).all()):
        raise ValueError("queries and items must be finite")
    if min(ks) < 1:
        raise ValueError(f"every k must be at least 1, got {list(ks)}")
    alone = ~np.isin(query_group, item_group)
    if not len(queries) or alone.any():
        raise ValueError(f"{alone.sum()} of {len(queries)} queries have no item of their own")
    parts = [slice(i, i + QUERIES_AT_A_TIME) for i in range(0, len(queries), QUERIES_AT_A_TIME)]
    hits = [_hits(queries[part] @ items.T, query_group[part, None] == item_group, ks) for part in parts]
    return {k: float(np.concatenate(found).mean()) for k, found in zip(ks, zip(*hits))}


def _hits(similarity, own, ks):
    """For each k the probability [queries] that an own item is among the first k, equals being in random order."""
    best = np.where(own, similarity, -np.inf).max(1, keepdims=True)
    above = (similarity > best).sum(1)
    level = similarity == best
    equal, own_equal = level.sum(1), (level & own).sum(1)
    found = []
    for k in ks:
        missed = np.ones(len(similarity))
        # One draw after another from the equals, without replacement, as long as places are left.
        for draw in range(min(k, int(equal.max()))):
            left = np.maximum(equal - draw, 1)
            others = np.clip(equal - own_equal - draw, 0, None)
            missed = np.where(draw < k - above, missed * others / left, missed)
        found.append(1 - missed)
    return found
