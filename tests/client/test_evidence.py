"""The evidence about an explanation, as the client has it."""

from __future__ import annotations

from pathlib import Path

import pytest

from lrpserve_client import Client, Evidence, RequestRefused
from tests.helpers.servers import RunningServer


def test_it_has_the_verdict_and_the_numbers_behind_it(server: RunningServer, cat: Path) -> None:
    with Client(server.url) as client:
        explanation = client.explain(cat, output="relevance,evidence")
        several = client.explain(cat, targets=["cat", "dog"], output="evidence")
        assert client.explain(cat).evidence is None
    evidence = explanation.evidence
    assert isinstance(evidence, Evidence)
    assert explanation.relevance is not None
    assert evidence.verdict == "supported"
    assert str(evidence) == evidence.text
    deletion = evidence.deletion
    assert deletion.hidden == tuple(step / 8 for step in range(9))
    assert (deletion.patch, deletion.fill) == (4, "blur")
    assert deletion.most_relevant_first[0] == pytest.approx(
        explanation.target.probability, abs=1e-5
    )
    assert deletion.most_relevant_first[2] < deletion.random_mean[2]
    assert len(deletion.least_relevant_first) == len(deletion.random_std) == len(deletion.hidden)
    assert evidence.stability.copies == 4
    assert 0 < (evidence.stability.mean or 0) < 1
    assert evidence.n_forwards == 75
    texts = [one.evidence.text for one in several if one.evidence]
    assert [" cat from " in texts[0], " dog from " in texts[1]] == [True, True]


def test_what_has_no_meaning_is_refused(server: RunningServer, cat: Path) -> None:
    with Client(server.url) as client, pytest.raises(RequestRefused, match="tested with itself"):
        client.explain(cat, output="evidence", attributor="occlusion")
