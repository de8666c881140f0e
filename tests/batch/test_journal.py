"""The journal of a batch job: what it takes for the same job, and what it refuses."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from service.batch.errors import JobMismatch, OutputError
from service.batch.journal import Failure, Journal, Part

FAILED = Part(3, [Failure(1, "b.png", "not-an-image", "text")])


@contextmanager
def opened(output: Path) -> Iterator[Journal]:
    journal = Journal(output)
    try:
        yield journal
    finally:
        journal.close()


def begin(output: Path, **identity: object) -> None:
    with opened(output) as journal:
        journal.begin(identity)
        output.mkdir(exist_ok=True)


def test_it_knows_what_was_written(tmp_path: Path) -> None:
    begin(tmp_path / "out", model="a")
    with opened(tmp_path / "out") as journal:
        journal.begin({"model": "a"})
        journal.commit(Part(4, []))
        journal.commit(FAILED)
    with opened(tmp_path / "out") as journal:
        journal.begin({"model": "a"})
        assert (journal.n_parts, journal.n_images, journal.n_failed) == (2, 7, 1)
        assert list(journal.failures()) == list(FAILED.failures)


def test_a_line_that_was_cut_off_is_not_counted(tmp_path: Path) -> None:
    begin(tmp_path / "out")
    with opened(tmp_path / "out") as journal:
        journal.commit(FAILED)
        parts = journal.folder / "parts.jsonl"
    whole = parts.read_bytes()
    for n_bytes in range(1, len(whole)):
        parts.write_bytes(whole + whole[:n_bytes])
        with opened(tmp_path / "out") as journal:
            assert journal.n_parts == 1
            journal.commit(FAILED)
        assert parts.read_bytes() == whole * 2


def test_another_job_is_refused_and_says_what_differs(tmp_path: Path) -> None:
    begin(tmp_path / "out", composite="a", fit="crop", contrast=None)
    with opened(tmp_path / "out") as journal, pytest.raises(JobMismatch) as refused:
        journal.begin({"composite": "b", "fit": "crop", "contrast": None})
    assert 'composite was "a", and is now "b"' in refused.value.detail
    assert "fit" not in refused.value.detail


def test_two_processes_cannot_write_one_output(tmp_path: Path) -> None:
    with opened(tmp_path / "out"), pytest.raises(OutputError, match="another process"):
        Journal(tmp_path / "out")
    begin(tmp_path / "out")


def test_an_output_of_something_else_is_not_touched(tmp_path: Path) -> None:
    output = tmp_path / "out"
    output.mkdir()
    (output / "file").write_bytes(b"x")
    with pytest.raises(OutputError, match="not the output of a job"):
        Journal(output)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    (output / "file").unlink()
    begin(output)


def test_a_job_whose_output_was_deleted_begins_anew(tmp_path: Path) -> None:
    begin(tmp_path / "out", composite="a")
    (tmp_path / "out").rmdir()
    with opened(tmp_path / "out") as journal:
        assert not journal.is_resumed
        journal.begin({"composite": "b"})


def test_a_job_that_has_not_begun_leaves_nothing_behind(tmp_path: Path) -> None:
    with opened(tmp_path / "out") as journal:
        (journal.folder / "images.jsonl").write_bytes(b"")
    assert list(tmp_path.iterdir()) == []


def test_a_lock_that_was_removed_while_it_was_opened_is_of_another_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, flock = Journal(tmp_path / "out"), fcntl.flock

    def end_first(descriptor: int, operation: int) -> None:
        first.close()
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", end_first)
    with pytest.raises(OutputError, match="another process"):
        Journal(tmp_path / "out")


def test_a_folder_of_something_else_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "out.job").mkdir()
    (tmp_path / "out.job" / "job.json").write_bytes(b"{}")
    with pytest.raises(OutputError, match="not a job's"):
        Journal(tmp_path / "out")
    assert (tmp_path / "out.job" / "job.json").read_bytes() == b"{}"


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="cannot make"):
        Journal(tmp_path / "file" / "out")
