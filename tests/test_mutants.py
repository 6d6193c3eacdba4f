"""The faults of `mutants` can be planted: their texts are where they should be, and their tests are there."""

import ast
import collections

import pytest

from tests import mutants


def functions(file):
    """Names of a file's tests."""
    return {
        node.name for node in ast.parse((mutants.ROOT / file).read_text()).body if isinstance(node, ast.FunctionDef)
    }


@pytest.mark.parametrize("file", sorted({fault.file for fault in mutants.FAULTS}))
def test_faults_change_one_place_of_a_file_and_name_tests(file):
    text = (mutants.ROOT / "vision_gen" / file).read_text()
    for fault in mutants.FAULTS:
        if fault.file == file:
            assert text.count(fault.old) == 1 and fault.old != fault.new, fault.what
            compile(text.replace(fault.old, fault.new), file, "exec")
            assert fault.tests, fault.what
            for test in fault.tests:
                place, _, name = test.partition("::")
                assert name.partition("[")[0] in functions(place), (fault.what, test)


def test_faults_are_chosen_by_number_or_word():
    assert collections.Counter(fault.what for fault in mutants.FAULTS).most_common(1)[0][1] == 1
    assert mutants.chosen(["3"]) == [(3, mutants.FAULTS[3])]
    assert [fault.file for _, fault in mutants.chosen(["ops/TPS"])] == ["ops/tps.py"] * 3
    assert len(mutants.chosen([])) == len(mutants.FAULTS) > 100
