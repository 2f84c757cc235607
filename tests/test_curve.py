"""The learning curve: one row a step."""

from pathlib import Path

from burnish.training import curve


def test_the_curve_is_one_row_a_step() -> None:
    """Log and dev measures of a step stand beside each other; the trainer's closing entry is no step's loss."""
    history = [{"step": 1, "loss": 0.5, "learning_rate": 1e-4, "epoch": 1.0}, {"step": 1, "train_runtime": 3.0}]
    found = curve.learning_curve([{"step": 0, "score": 0.1}, {"step": 1, "score": 0.2}], history)
    assert found == [{"step": 0, "score": 0.1}, {"step": 1, "loss": 0.5, "learning_rate": 1e-4, "score": 0.2}]


def test_the_written_curve_leaves_absent_values_empty(tmp_path: Path) -> None:
    """A step without a dev measure has no 0 there."""
    curve.write_curve(tmp_path / "c.csv", [{"step": 0, "score": 0.5}, {"step": 1, "loss": 0.25}])
    lines = (tmp_path / "c.csv").read_text().splitlines()
    assert lines == ["step,loss,learning_rate,dev,general_dev,score", "0,,,,,0.500000", "1,0.250000,,,,"]
