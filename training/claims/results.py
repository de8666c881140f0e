"""What the command writes: `claims.json`, and the tables of verdicts in Markdown."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from service.errors import ServiceError
from service.strict_json import loads
from training.claims.measured import Measured
from training.claims.rules import CLAIMS, RULE
from training.claims.verdicts import Outcome, Verdict, judge

Row = Sequence[str]
Fields = Mapping[str, Any]
HEADERS = ("claim", "verdict", "networks", "what decided")


class ClaimFileError(ServiceError):
    """A file with the result of another command is none."""

    type = "claim-file-error"
    title = "The result of a claim cannot be used"


def judge_all(networks: Sequence[Measured], *, only_good: bool = False) -> list[Verdict]:
    """Judge each claim; `only_good` by the masks that were marked as good."""
    intervals = [dict(one.good if only_good else one.intervals) for one in networks]
    return [judge(claim, intervals) for claim in CLAIMS]


def read_claim(path: Path) -> dict[str, Any]:
    """Read the result of a claim that another command measured.

    An object with `number` (of the claim), `verdict` (a word), `n_networks` and `reasons` (a list
    of phrases with numbers); whatever else it has is kept.

    Raises
    ------
    ClaimFileError
        It cannot be read, or is about no claim of `CLAIMS`.
    """
    try:
        fields = dict(loads(path.read_bytes()))
    except (OSError, ValueError, TypeError) as error:
        raise ClaimFileError(f"{path} cannot be read: {error}") from error
    missing = {"number", "verdict", "n_networks", "reasons"} - fields.keys()
    if missing or fields["number"] not in {claim.number for claim in CLAIMS}:
        raise ClaimFileError(
            f"{path} has to hold number, verdict, n_networks and reasons of one of the claims"
        )
    return fields


def claim_fields(verdict: Verdict) -> dict[str, Any]:
    """A verdict as JSON."""
    return {
        "number": verdict.claim.number,
        "claim": verdict.claim.text,
        "verdict": verdict.word,
        "n_networks": verdict.n_networks,
        "reasons": list(verdict.reasons),
        "conditions": [_outcome_fields(outcome) for outcome in verdict.outcomes],
    }


def write_results(
    networks: Sequence[Measured],
    settings: Fields,
    added: Sequence[dict[str, Any]],
    out: Path,
) -> list[dict[str, Any]]:
    """Write `claims.json` and `claims.md`, and return the claims as they were written.

    Parameters
    ----------
    networks : sequence of Measured
        What was measured.
    settings : mapping
        Images, masks, hardware and versions.
    added : sequence of dict
        Results of other commands, from `read_claim`; each replaces the claim of its number.
    out : Path
        The folder.
    """
    replaced = {fields["number"]: fields for fields in added}
    verdicts = judge_all(networks)
    claims = [
        {"claim": one.claim.text} | replaced.get(one.claim.number, claim_fields(one))
        for one in verdicts
    ]
    has_marks = all(one.good for one in networks)
    good = judge_all(networks, only_good=True) if has_marks else []
    written = {
        "rule": RULE,
        "settings": dict(settings),
        "claims": claims,
        "claims_on_good_masks": [claim_fields(one) for one in good if one.claim.conditions],
        "networks": [asdict(one) for one in networks],
    }
    (out / "claims.json").write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")
    tables = [markdown(HEADERS, map(verdict_row, claims))]
    tables += [markdown(CONDITION_HEADERS, map(condition_row, v.outcomes)) for v in verdicts[:3]]
    (out / "claims.md").write_text("\n".join(tables), encoding="utf-8")
    return claims


def verdict_row(fields: Fields) -> Row:
    """A row of the table of verdicts."""
    claim = f"{fields['number']}. {fields['claim']}"
    return claim, fields["verdict"], str(fields["n_networks"]), ", ".join(fields["reasons"])


CONDITION_HEADERS = ("measure", "has to be", "mean", "interval of each network", "between", "state")


def condition_row(outcome: Outcome) -> Row:
    """A row of the table of a claim's conditions."""
    condition, mean, spread = outcome.condition, outcome.mean, outcome.spread
    return (
        f"{condition.measure} (against {condition.control})",
        f"{condition.side} {condition.threshold:g}" + (", or refuted" if condition.refutes else ""),
        "not measured" if mean is None else f"{mean:.3f}",
        ", ".join(f"[{one.low:.3f}, {one.high:.3f}]" for one in outcome.intervals),
        "" if spread is None else f"{spread:.3f}",
        outcome.state,
    )


def markdown(headers: Row, rows: Any) -> str:
    """A table in Markdown."""
    lines = [headers, ["---"] * len(headers), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _outcome_fields(outcome: Outcome) -> dict[str, Any]:
    return {
        **asdict(outcome.condition),
        "state": outcome.state,
        "mean": outcome.mean,
        "spread": outcome.spread,
        "intervals": [asdict(one) for one in outcome.intervals],
    }
