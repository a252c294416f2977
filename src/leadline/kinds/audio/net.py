"""Bodies for sound: log-mel spectra inside the network, then convolutions, and recurrence over them.

Sources: log-mel and convolutions after Piczak 2015, 'Environmental Sound Classification with Convolutional Neural
Networks'; recurrence after Cakir et al. 2017, 'Convolutional Recurrent Neural Networks for Polyphonic Sound Event
Detection'; masks over spectra in training after Park et al. 2019, 'SpecAugment'. Blocks are those of nets/cnn.py.

Sounds of a batch differ in length: what lies beyond one's own end is zero after every layer, and counts nowhere, so a
sound gives the same alone and in any batch. Shapes: N sounds, S samples, T spectra, M bands, C channels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leadline.kinds.audio.frames import EPS, MELS, PADDING, STEPS, Frames
from leadline.nets.cnn import ConvBlock
from leadline.nets.rnn import Bidirectional

SPAN_TIME, SPAN_BAND = 0.15, 0.15  # of the spectra and of the bands that a mask of training hides, at most
FEW, LEAST_FEW, FEW_SAMPLES = 256, 16, 2**23  # sounds by which the bands are scaled, and all their samples, about


class LogMel(nn.Module):
    """Samples [N, S], PADDING after a row's last -> log-mel spectra float32 [N, T, M] and how many are a row's own [N].

    Training takes the fast Fourier transform; an exported graph a convolution with the same windows.
    """

    basis: Tensor
    window: Tensor
    mels: Tensor

    def __init__(self, frames: Frames) -> None:
        super().__init__()
        self.frames = frames
        basis = torch.from_numpy(frames.basis())
        self.register_buffer("basis", basis.unsqueeze(1))
        self.register_buffer("window", basis[0].clone())  # the cosine of frequency 0 is the window itself
        self.register_buffer("mels", torch.from_numpy(frames.mels()))

    def forward(self, sounds: Tensor) -> tuple[Tensor, Tensor]:
        size, hop, least = self.frames.size, self.frames.hop, self.frames.least
        # A spectrum is a row's own where its last sample is there, and so are the first few of a sound that is shorter:
        # these samples alone need zeros for marks, and no others are looked at, which the file does in far less time.
        own = (sounds[:, size - 1 :: hop] != PADDING).sum(dim=1).clamp_min(STEPS)
        first = sounds[:, :least].float()
        first = first * (first != PADDING).float()
        wave = torch.cat((first.to(sounds.dtype), sounds[:, least:]), dim=1).float()
        if torch.compiler.is_exporting() or torch.jit.is_tracing():  # type: ignore[attr-defined,no-untyped-call]
            spectra, half = F.conv1d(wave.unsqueeze(1), self.basis, stride=hop), len(self.mels)
            real, imaginary = spectra[:, :half], spectra[:, half:]
            power = (real.square() + imaginary.square()).transpose(1, 2)
        else:
            spectra = torch.fft.rfft(wave.unfold(1, size, hop) * self.window)
            power = spectra.real.square() + spectra.imag.square()
        return torch.log(power @ self.mels + EPS), own


class ConvSound(nn.Module):
    """Sounds [N, S] -> vectors [N, width]: three convolutional blocks, then mean and maximum over what is the
    sound's own.
    """

    mean: Tensor
    inverse_std: Tensor

    def __init__(self, frames: Frames, base: int) -> None:
        super().__init__()
        self.logmel = LogMel(frames)
        self.register_buffer("mean", torch.zeros(MELS))
        self.register_buffer("inverse_std", torch.ones(MELS))
        sizes = (1, base, 2 * base, 4 * base)
        self.blocks = nn.ModuleList(ConvBlock(a, b, pool=True) for a, b in zip(sizes[:-1], sizes[1:], strict=True))
        self.channels = sizes[-1]
        self.width = 2 * self.channels

    @torch.no_grad()
    def prepare(self, sounds: Tensor) -> None:
        """Set the scale of every band from train sounds."""
        spectra, own = self.logmel(sounds[: min(FEW, max(LEAST_FEW, FEW_SAMPLES // sounds.shape[1]))])
        known = spectra[torch.arange(spectra.shape[1]) < own.unsqueeze(1)].double()
        self.mean.copy_(known.mean(0))
        self.inverse_std.copy_(1.0 / known.std(0).clamp_min(0.1))

    def maps(self, sounds: Tensor) -> tuple[Tensor, Tensor]:
        """Maps [N, C, T / 8, M / 8], zero beyond a sound's own part, and the length of that part [N]."""
        with torch.autocast("cpu", enabled=False):  # powers of quiet and loud bands differ by more than bfloat16 holds
            spectra, own = self.logmel(sounds)
            x = (spectra - self.mean) * self.inverse_std
        if self.training:
            x = hide(hide(x, 1, SPAN_TIME), 2, SPAN_BAND)
        x = x.unsqueeze(1) * within(own, x.shape[1])
        for block in self.blocks:
            own = own // 2
            assert isinstance(block, ConvBlock)
            x = block(x, within(own, x.shape[2] // 2))
        return x, own

    def forward(self, sounds: Tensor) -> Tensor:
        x, own = self.maps(sounds)
        inside = within(own, x.shape[2])
        mean = x.sum((2, 3)) / (own * x.shape[3]).unsqueeze(1)
        most = x.masked_fill(inside == 0, -1e4).amax((2, 3))
        return torch.cat((mean.float(), most.float() / 9.0), dim=1)


class RecurrentSound(nn.Module):
    """Sounds [N, S] -> vectors [N, width]: convolutional blocks, then a pass from each end over what they found."""

    def __init__(self, frames: Frames, base: int) -> None:
        super().__init__()
        self.front = ConvSound(frames, base)
        self.passes = Bidirectional(self.front.channels * (MELS // 8), 4 * base)
        self.width = 2 * self.passes.width

    def prepare(self, sounds: Tensor) -> None:
        """Set the scale of every band from train sounds."""
        self.front.prepare(sounds)

    def forward(self, sounds: Tensor) -> Tensor:
        x, own = self.front.maps(sounds)
        x = self.passes(x.permute(0, 2, 1, 3).flatten(2), own)
        inside = within(own, x.shape[1])[:, 0]
        mean = x.sum(1) / own.unsqueeze(1)
        most = x.masked_fill(inside == 0, -1e4).amax(1)
        return torch.cat((mean.float(), most.float()), dim=1)


def within(own: Tensor, length: int) -> Tensor:
    """1 where a step is a sound's own, else 0: float32 [N, 1, length, 1]."""
    return (torch.arange(length, device=own.device) < own.unsqueeze(1)).float()[:, None, :, None]


def hide(x: Tensor, axis: int, span: float) -> Tensor:
    """Set one random stretch along an axis of [N, T, M] to zero, the mean, a stretch of its own for each row."""
    size = x.shape[axis]
    width = torch.rand(len(x), 1) * span * size
    start = torch.rand(len(x), 1) * (size - width)
    place = torch.arange(size)
    kept = ((place < start) | (place >= start + width)).to(x.dtype)
    return x * (kept.unsqueeze(2) if axis == 1 else kept.unsqueeze(1))
