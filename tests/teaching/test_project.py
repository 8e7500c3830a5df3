"""What the project rests on: conditions, budgets, the ranking; and what changed between two years' assignments."""

import copy
import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from novkit.errors import DataError, SettingsError, StoredFileError
from novkit.teaching import Budget, Condition, budget_check, course_generator
from novkit.teaching.board import Entry, rank, write_board
from novkit.teaching.budget import count_parameters
from novkit.teaching.leaderboard import Teacher
from novkit.teaching.updates import changes, manifest_of, read_manifest, write_manifest
from tests.teaching.conftest import named

X = np.zeros((10, 1, 8, 8), np.uint8)


def test_course_generator_depends_on_seed_and_keys(monkeypatch):
    first = course_generator("auroc", 1).integers(10**9)
    assert course_generator("auroc", 1).integers(10**9) == first
    assert course_generator("auroc", 2).integers(10**9) != first
    monkeypatch.setenv("NOVKIT_COURSE_SEED", "7")
    assert course_generator("auroc", 1).integers(10**9) != first


def test_images_are_counted_where_gradients_are_on():
    def build(X_train, X_val, seed):
        network = nn.Sequential(nn.Flatten(), nn.Linear(64, 3), nn.BatchNorm1d(3))
        images = torch.zeros(6, 1, 8, 8)
        for _ in range(4):
            network(images).sum().backward()
        with torch.no_grad():
            network(images)
        with pytest.raises(RuntimeError):
            network(torch.zeros(5, 7))  # a call that fails is counted too, and leaves the count right
        network(images)
        return SimpleNamespace(network=network, again=network, table=np.zeros((5, 2)))

    detector, spent = budget_check(build, X, X, 0)
    assert spent.images_seen == 4 * 6 + 5 + 6
    assert spent.parameters == 64 * 3 + 3 + 3 + 3 + (3 + 3 + 1) + 10  # weights, biases, buffers, the table; each once
    assert count_parameters(detector) == spent.parameters
    assert budget_check(lambda *_: object(), X, X, 0)[1].images_seen == 10


def test_a_budget_says_what_exceeds_it():
    spent = Budget(images_seen=1500, parameters=10, seconds=3.0)
    assert spent.within(Budget(1500, 10))
    assert spent.excess(Budget(1000, 10)) == "images_seen 1,500 of 1,000"


def test_condition_draws_inside_the_body_and_nowhere_else():
    images, body = np.full((20, 1, 64, 64), 100, np.uint8), np.zeros((20, 64, 64), bool)
    body[:, 20:40, 20:44] = True
    drawn, masks = Condition(contrast=(0.1, 0.2)).apply(images, body, np.random.default_rng(0))
    assert np.array_equal(images, np.full_like(images, 100))
    assert (drawn[:, 0][~body] == 100).all()
    assert not (masks & ~body).any()
    assert masks.any(axis=(1, 2)).all()
    lift = drawn[:, 0].astype(int) - 100
    assert lift.min() >= 0
    assert lift.max() <= round(0.2 * 255)
    assert (lift[masks] >= 0.5 * 0.1 * 255 - 1).all()
    for wrong in ({"foci": (0, 1)}, {"radius": (0.2, 0.1)}, {"softness": 0}, {"contrast": (-2, 0)}):
        with pytest.raises(SettingsError):
            Condition(**wrong)
    with pytest.raises(DataError, match="empty body"):
        Condition().apply(images, np.zeros_like(body), np.random.default_rng(0))


def test_teachers_file(tmp_path):
    path = tmp_path / "secret.json"
    limits = {"images_seen": 100, "parameters": 50}
    path.write_text(json.dumps({"seed": 3, "condition": {"foci": [2, 4]}, "limits": limits, "n_test": 40}), encoding="utf-8")
    teacher = Teacher.read(path)
    assert (teacher.condition.foci, teacher.limits.parameters, teacher.n_test) == ((2, 4), 50, 40)
    for wrong in ({"seed": 3}, {"seed": "x", "condition": {}, "limits": limits}, {"seed": 1, "condition": {"size": 3}, "limits": limits}):
        path.write_text(json.dumps(wrong), encoding="utf-8")
        with pytest.raises(DataError, match="it needs seed, condition and limits"):
            Teacher.read(path)


def test_rank_and_board(tmp_path):
    entries = [Entry("a", auroc=0.7), Entry("b", auroc=0.9, trouble="Over budget."), Entry("<c>", auroc=0.8), Entry("=d", auroc=0.8)]
    board = rank(entries)
    assert [(entry.student, entry.rank) for entry in board] == [("<c>", 1), ("=d", 1), ("a", 3), ("b", None)]
    write_board(board, {"autoencoder": 0.6}, Budget(10, 20, 30), tmp_path)
    page = (tmp_path / "leaderboard.html").read_text(encoding="utf-8")
    assert "<c>" not in page
    assert "&lt;c&gt;" in page
    assert "'=d" in (tmp_path / "leaderboard.csv").read_text(encoding="utf-8")


def test_changes_since_a_pinned_manifest(source, tmp_path):
    before = manifest_of({"a1_small": source})
    assert changes(before, copy.deepcopy(before)) == []
    other = copy.deepcopy(source)
    named(other, "middle_tests").source += "\nassert True"
    named(other, "ranking_tests").metadata.nbgrader["points"] = 6
    named(other, "why").source = "Another question?"
    other.cells[0].source = "# New title"
    after = manifest_of({"a1_small": other, "a2_new": source})
    assert changes(before, after) == [
        "a1_small, text and given cells: changed",
        "a1_small, middle: tests",
        "a1_small, ranking: points (4 → 6)",
        "a1_small, why: task or solution",
        "a2_new: new",
    ]
    write_manifest(tmp_path / "course.json", before)
    assert read_manifest(tmp_path / "course.json") == before
    (tmp_path / "course.json").write_text("{}", encoding="utf-8")
    with pytest.raises(StoredFileError, match="pin the course again"):
        read_manifest(tmp_path / "course.json")
