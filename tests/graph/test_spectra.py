"""A long Fourier transform becomes two short ones, which give the same bands in a fraction of the bytes."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from leadline.graph.builder import Graph
from leadline.graph.runtime import Session
from leadline.graph.spectra import fourier, short_transforms
from leadline.kinds.audio.frames import MELS, Frames


def _bands(frames: Frames, read: bool = False) -> onnx.ModelProto:
    """Samples to bands, as a network for sounds writes them; `read`: the parts of the spectrum are an output too."""
    g, half = Graph("bands"), frames.size // 2 + 1
    x = g.input("x", np.float32, ["N", 1, "L"])
    spectra = g.op("Conv", x, g.const(frames.basis()[:, None]), strides=[frames.hop])
    axis, step = g.const(np.array([1])), g.const(np.array([1]))
    ends = ((0, half), (half, 2 * half))
    parts = [g.op("Slice", spectra, g.const(np.array([a])), g.const(np.array([b])), axis, step) for a, b in ends]
    power = g.op("Transpose", g.op("Add", *(g.op("Mul", part, part) for part in parts)), perm=[0, 2, 1])
    g.output("bands", g.op("MatMul", power, g.const(frames.mels())), np.float32, ["N", "T", MELS])
    if read:
        g.output("spectra", spectra, np.float32, ["N", 2 * half, "T"])
    return g.model()


@pytest.mark.parametrize(("size", "hop"), [(1024, 512), (512, 256), (256, 64), (2048, 2048)])
def test_short_transforms_give_the_same_bands(size: int, hop: int) -> None:
    frames = Frames(rate=16_000, size=size, hop=hop)
    long = _bands(frames)
    short = _bands(frames)
    short_transforms(short)
    onnx.checker.check_model(short)
    assert short.ByteSize() < (0.2 if size > 512 else 0.6) * long.ByteSize()
    rng = np.random.default_rng(0)
    for samples in (size, 5 * size + 17, 20_000):
        x = (rng.normal(size=(3, 1, samples)) * [[[1.0]], [[3_000.0]], [[32_000.0]]]).astype(np.float32)
        a, b = (Session(each)({"x": x})["bands"] for each in (long, short))
        assert a.shape == b.shape
        assert np.allclose(a, b, rtol=1e-4, atol=1e-6 * float(a.max(axis=(1, 2)).min()))


def test_what_is_no_power_spectrum_stays_as_it_is() -> None:
    frames = Frames(rate=8_000, size=256, hop=128)
    read = _bands(frames, read=True)
    before = read.SerializeToString()
    short_transforms(read)
    assert read.SerializeToString() == before  # something else reads the spectrum
    other = _bands(frames)
    basis = next(each for each in other.graph.initializer if fourier(each) is not None)
    values = onnx.numpy_helper.to_array(basis).copy()
    values[7, 0, 9] += 0.01 * np.abs(values).max()
    basis.CopyFrom(onnx.numpy_helper.from_array(values, basis.name))
    before = other.SerializeToString()
    short_transforms(other)
    assert other.SerializeToString() == before  # a filter that was learned
