"""What the entry points print."""

import sys
import types

from vision_gen.engine import commands


def test_only_the_tail_of_a_failed_checkpoint_goes_unreported(monkeypatch):
    reported = []
    monkeypatch.setattr(sys, "__unraisablehook__", lambda unraisable: reported.append(unraisable.exc_value))
    closed, other, another = RuntimeError("Event loop is closed"), RuntimeError("full"), OSError("Event loop is closed")
    for error in (closed, other, another):
        commands._report_unraisable(types.SimpleNamespace(exc_value=error))
    assert reported == [other, another]
