"""`lrpserve predict`: the classes that the server gives."""

from __future__ import annotations

from pathlib import Path

import httpx

from tests.commands.command_line import Lrpserve


def test_predict_prints_the_best_classes_of_each_image(lrpserve: Lrpserve, photos: Path) -> None:
    cat, ship = photos / "a" / "cat.jpg", photos / "a" / "ship.jpg"
    done = lrpserve("predict", cat, ship, "--top-k", "2")
    assert (done.code, done.err) == (0, "")
    _, *rows = done.out.splitlines()
    assert [row.split()[0] for row in rows[::2]] == [str(cat), str(ship)]
    probabilities = [float(row.split()[-1]) for row in rows]
    assert len(probabilities) == 4
    assert probabilities[0] >= probabilities[1]


def test_predict_prints_the_probabilities_of_the_server(
    lrpserve: Lrpserve, client: httpx.Client, cat: Path
) -> None:
    answer = client.post("/predict", files={"image": cat.read_bytes()}).json()
    wanted = [[s["label"], f"{s['probability']:.4f}"] for s in answer["predictions"]]
    rows = lrpserve("predict", cat).out.splitlines()[1:]
    assert [row.split()[-2:] for row in rows] == wanted
