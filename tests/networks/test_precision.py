"""bfloat16 where the processor multiplies it, float32 elsewhere; a training may go on in another."""

import pytest
import torch

from networks import bfloat16, train
from networks.training import config, loop, precision
from tests.networks.training_case import TRAINING, table

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)


def processor(folder, monkeypatch, line: str):
    path = folder / "cpuinfo"
    path.write_text(f"model name : a processor with amx_bf16 in its name\n{line}\n")
    monkeypatch.setattr(bfloat16, "PROCESSOR", path)


@pytest.mark.parametrize(("line", "expected"), [
    ("flags : fpu avx2 avx512f", "float32"),
    ("flags : fpu avx2 avx512_bf16", "bfloat16"),
    ("flags : fpu amx_bf16 amx_tile", "bfloat16"),
    ("Features : fp asimd bf16", "bfloat16"),
    ("", "float32"),
])
def test_auto_is_what_the_processor_does_fast(tmp_path, monkeypatch, line, expected):
    processor(tmp_path, monkeypatch, line)
    assert precision.resolved("auto", CPU) == expected


def test_where_the_system_does_not_say_it_is_float32(tmp_path, monkeypatch):
    monkeypatch.setattr(bfloat16, "PROCESSOR", tmp_path / "nothing")
    assert precision.resolved("auto", CPU) == "float32"


@pytest.mark.parametrize(("fast", "expected"), [(True, "bfloat16"), (False, "float32")])
def test_a_gpu_is_asked_whether_it_emulates(monkeypatch, fast, expected):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: fast or including_emulation)
    assert precision.resolved("auto", GPU) == expected


def test_what_is_asked_for_is_taken_with_a_warning_where_it_is_slow(tmp_path, monkeypatch, caplog):
    processor(tmp_path, monkeypatch, "flags : avx2")
    assert precision.resolved("bfloat16", CPU) == "bfloat16"
    assert "ten times as long as in float32" in caplog.text
    caplog.clear()
    assert precision.resolved("float32", CPU) == "float32" and not caplog.text


def test_auto_is_the_default_and_a_training_may_go_on_in_another(work, monkeypatch):
    monkeypatch.setenv("WORK", str(work))
    path = work / "auto.toml"
    text = TRAINING.format(name="auto", epochs=1, more="")
    path.write_text(text.replace('precision = "float32"\n', ""))
    assert config.load(path).training.precision == "auto"
    path.write_text(text)
    train.main([str(path)])
    path.write_text(text.replace("float32", "bfloat16") + "[[training.phases]]\nepochs = 1\n")
    settings = config.load(path)
    loop.train(settings)
    assert [row["phase"] for row in table(settings.folder / "curves.csv")] == ["1", "2", "3"]
