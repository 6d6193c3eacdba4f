"""Recall at k against scikit-learn where there are no equals, and against every order of them where there are."""

import itertools

import numpy as np
import pytest
import sklearn.metrics

from vision_gen.metrics import retrieval


def test_recall_is_sklearns_top_k_accuracy(monkeypatch):
    monkeypatch.setattr(retrieval, "QUERIES_AT_A_TIME", 7)
    rng = np.random.default_rng(0)
    items = rng.normal(size=(40, 8))
    queries = items + 1.5 * rng.normal(size=items.shape)
    for one, other in ((queries, items), (items, queries)):
        found = retrieval.recall_at_k(one, other, (1, 5, 10, 40))
        for k, share in found.items():
            expected = sklearn.metrics.top_k_accuracy_score(np.arange(40), one @ other.T, k=k) if k < 40 else 1.0
            assert share == pytest.approx(expected)
        assert 0.05 < found[1] < found[5] < 0.95
    assert retrieval.recall_at_k(queries, items, [5]) != retrieval.recall_at_k(items, queries, [5])


def test_several_items_may_be_a_querys_own():
    # Similarities to the query: 4, 3, 2, 1.
    query, items = [[1.0]], [[4.0], [3.0], [2.0], [1.0]]
    found = retrieval.recall_at_k(query, items, (1, 2, 3), query_group=["x"], item_group=["y", "z", "x", "x"])
    assert found == {1: 0.0, 2: 0.0, 3: 1.0}
    assert retrieval.recall_at_k(query * 2, items, (1,), query_group=["x", "y"], item_group=[*"yzxx"]) == {1: 0.5}


def test_equals_count_as_the_mean_over_every_order_of_them():
    similarity, own = np.array([5, 3, 3, 3, 3, 1]), np.array([0, 1, 0, 1, 0, 1], bool)
    found = retrieval.recall_at_k([[1.0]], similarity[:, None], range(1, 7), query_group=[1], item_group=own)
    orders = [
        order for order in itertools.permutations(range(6)) if (np.diff(similarity[list(order)]) <= 0).all()
    ]
    for k, share in found.items():
        assert share == pytest.approx(np.mean([own[list(order[:k])].any() for order in orders])), k
    assert 0 < found[2] < found[3] < 1
    # Constant embeddings know nothing.
    same = np.ones((20, 3))
    assert retrieval.recall_at_k(same, same, (1, 5)) == pytest.approx({1: 1 / 20, 5: 5 / 20})


def test_more_places_than_items_find_everything():
    items = np.eye(3)
    assert retrieval.recall_at_k(items, items[::-1], (1, 3, 10)) == pytest.approx({1: 1 / 3, 3: 1, 10: 1})


def test_what_has_no_recall_is_refused():
    good = np.eye(3)
    for match, arguments, groups in (
        ("must be .number, features.", (good, np.eye(4), [1]), {}),
        ("every k must be at least 1", (good, good, [0, 1]), {}),
        ("must be finite", (good, np.where(good, np.nan, 0), [1]), {}),
        ("1 of 3 queries have no item of their own", (good, good[:2], [1]), {}),
        ("one entry each", (good, good, [1]), dict(query_group=[0, 1])),
    ):
        with pytest.raises(ValueError, match=match):
            retrieval.recall_at_k(*arguments, **groups)
