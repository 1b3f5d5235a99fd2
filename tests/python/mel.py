"""Log-mel energies for tests/core/mel.rs: python mel.py OUT. In OUT/NAME.f32 lie sounds, 32-bit numbers one behind the other; what they are is in
NAME. Beside them, OUT/NAME.log.f32 has the energies of all frames, frame after frame, in nats.

By the definition in librosa's documentation, in NumPy's 64 bits; where librosa is installed, which is large, that is held against librosa itself.
Said is which."""

import os
import sys

import numpy as np

try:
    import librosa
except ImportError:
    librosa = None

# Name: sample rate, samples in a frame, bands. The first is the input of MLPerf Tiny's anomaly detection.
CASES = {"toy_car": (16000, 1024, 128), "slow": (1600, 64, 12), "music": (44100, 2048, 40)}


def mel_of_hertz(f):
    return np.where(f < 1000, 3 * f / 200, 15 + 27 * np.log(np.maximum(f, 1) / 1000) / np.log(6.4))


def hertz_of_mel(m):
    return np.where(m < 15, 200 * m / 3, 1000 * 6.4 ** ((m - 15) / 27))


def filters(rate, n_fft, bands):
    """librosa.filters.mel(sr=rate, n_fft=n_fft, n_mels=bands): Slaney's scale and norm."""
    edges = hertz_of_mel(np.linspace(0, mel_of_hertz(np.float64(rate / 2)), bands + 2))
    low, mid, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    f = np.fft.rfftfreq(n_fft, 1 / rate)
    return np.maximum(0, np.minimum((f - low) / (mid - low), (high - f) / (high - mid))) * 2 / (high - low)


def spectrogram(y, rate, n_fft, bands):
    """librosa.feature.melspectrogram(y=y, sr=rate, n_fft=n_fft, hop_length=n_fft // 2, n_mels=bands, center=False), transposed."""
    frames = np.lib.stride_tricks.sliding_window_view(y.astype("f8"), n_fft)[:: n_fft // 2]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)
    return np.abs(np.fft.rfft(frames * hann)) ** 2 @ filters(rate, n_fft, bands).T


def main(out):
    rng = np.random.default_rng(1)
    for name, (rate, n_fft, bands) in CASES.items():
        t = np.arange(20 * n_fft) / rate
        tones = sum(0.3 / k * np.sin(2 * np.pi * 0.011 * k * rate * t * (1 + 0.1 * t / t[-1])) for k in range(1, 8))
        # As a recording of 16 bits has it.
        y = (np.round((tones + 0.01 * rng.normal(size=t.size) + 0.02) * 2**15) / 2**15).astype("f4")
        mel = spectrogram(y, rate, n_fft, bands)
        if librosa:
            theirs = librosa.feature.melspectrogram(y=y, sr=rate, n_fft=n_fft, hop_length=n_fft // 2, n_mels=bands, center=False).T
            np.testing.assert_allclose(mel, theirs, rtol=1e-4, atol=1e-7 * mel.max())
            # MLPerf Tiny's frames are padded at both ends, of which it leaves out 50.
            padded = librosa.feature.melspectrogram(y=y, sr=rate, n_fft=n_fft, hop_length=n_fft // 2, n_mels=bands, power=2.0).T
            np.testing.assert_allclose(mel, padded[1:-1], rtol=1e-4, atol=1e-7 * mel.max())
        y.tofile(os.path.join(out, name + ".f32"))
        np.log(mel).astype("f4").tofile(os.path.join(out, name + ".log.f32"))
    print("librosa " + librosa.__version__ if librosa else "librosa's definition")


main(sys.argv[1])
