"""Scores of a model's f32 weights, in NumPy's 64 bits: "What a score is" of vae-core/FORMAT.md as a program.

    vae-train export runs/a --out model.vae --precision f32 --safetensors weights.safetensors
    python score.py weights.safetensors new.csv > scores.csv

The columns row, elbo, reconstruction, kl, score, missing and p_value are those of `vae-train score model.vae new.csv`. The table has a header with
the model's columns, and numbers, one recording without gaps; an empty field is a value that was not observed."""

import csv
import json
import sys

import numpy as np

LIMIT = 1e9  # of standardised values
TINY = np.finfo("f4").tiny  # of energies and spreads


def read(path):
    """The tensors of a safetensors file, and its metadata."""
    with open(path, "rb") as file:
        data = file.read()
    begin = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:begin])
    metadata = header.pop("__metadata__")
    tensors = {}
    for name, entry in header.items():
        start, end = entry["data_offsets"]
        values = np.frombuffer(data[begin + start : begin + end], "<f4")
        tensors[name] = values.reshape(entry["shape"]).astype("f8")
    return tensors, metadata


# Front-ends: of a channel's samples [windows, samples], of which some may be NaN, features [windows, features].


def log(v):
    return np.log(np.maximum(v, TINY))


def means(x):
    return (np.nansum(x, axis=1) / np.maximum(np.sum(~np.isnan(x), axis=1), 1))[:, None]


def statistics(x):
    count = np.sum(~np.isnan(x), axis=1)
    d = np.nan_to_num(x - means(x))
    power, fourth = np.sum(d**2, axis=1) / np.maximum(count, 1), np.sum(d**4, axis=1) / np.maximum(count, 1)
    rms, peak = np.sqrt(power), np.max(np.abs(d), axis=1)
    crest = np.divide(peak, rms, out=np.zeros_like(rms), where=rms > 0)
    kurtosis = np.divide(fourth, power**2, out=np.zeros_like(rms), where=rms > 0)
    # From one side of the mean to the other, whatever lies on it or was not observed between.
    crossings = [np.count_nonzero(np.diff(np.sign(row[row != 0]))) for row in d]
    share = crossings / np.maximum(count - 1, 1)
    return np.stack([means(x)[:, 0], log(rms), log(peak), crest, kurtosis, share], axis=1)


def bands(x, n):
    size = x.shape[1]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)
    power = np.abs(np.fft.rfft(np.nan_to_num(x - means(x)) * hann)) ** 2 / size
    edges, last = [0], size // 2 - 1
    for k in range(1, n + 1):
        nearest = int(np.floor(last ** (k / n) + 0.5))
        edges.append(max(min(nearest, last - (n - k)), edges[-1] + 1))
    # Of the frequencies low < f <= high.
    return np.stack([log(power[:, low + 1 : high + 1].sum(axis=1)) for low, high in zip(edges, edges[1:])], axis=1)


def mel(x, n, frames, rate):
    hop = x.shape[1] // (frames + 1)
    size, step = 2 * hop, 27 / np.log(6.4)
    highest = 0.015 * rate / 2 if rate < 2000 else 15 + np.log(rate / 2000) * step
    mels = np.linspace(0, highest, n + 2)
    edges = np.where(mels < 15, mels / 0.015, 1000 * np.exp((mels - 15) / step))
    low, mid, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    f = np.arange(1, hop) * rate / size
    triangles = np.maximum(0, np.minimum((f - low) / (mid - low), (high - f) / (high - mid))) * 2 / (high - low)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)
    made = []
    for frame in range(frames):
        own = x[:, frame * hop : frame * hop + size]
        power = np.abs(np.fft.rfft(np.where(np.isnan(own), means(own), own) * hann)) ** 2
        made.append(unless_nothing(own, log(power[:, 1:hop] @ triangles.T)))
    return np.concatenate(made, axis=1)


def unless_nothing(x, features):
    """NaN in the place of the features of windows of which nothing was observed."""
    return np.where(np.isnan(x).all(axis=1)[:, None], np.nan, features)


def front_end(name, x, rate):
    if name == "raw":
        return x
    kind, _, shape = name.partition(":")
    if kind == "mel":
        count, _, frames = shape.partition("x")
        return mel(x, int(count), int(frames or 1), rate)
    made = means(x) if kind == "mean" else statistics(x) if kind == "statistics" else bands(x, int(shape))
    return unless_nothing(x, made)


def features(samples, metadata):
    """Of samples [windows, samples, channels], features [windows, features] and the channel of each."""
    count, window, channels = samples.shape
    if not metadata["front_ends"]:
        return samples.reshape(count, -1), np.tile(np.arange(channels), window)
    names, rate = metadata["front_ends"].split("\n"), float(metadata.get("rate", 0))
    made = [front_end(name, samples[:, :, channel], rate) for channel, name in enumerate(names)]
    owners = [np.full(own.shape[1], channel) for channel, own in enumerate(made)]
    return np.concatenate(made, axis=1), np.concatenate(owners)


# The network and its distributions.


def sigmoid(v):
    return 0.5 + 0.5 * np.tanh(0.5 * v)


ACTIVATIONS = {
    "Identity": lambda v: v,
    "Relu": lambda v: np.maximum(v, 0),
    "Tanh": np.tanh,
    "Sigmoid": sigmoid,
    "Silu": lambda v: v * sigmoid(v),
    "Softplus": lambda v: np.logaddexp(0, v),
}


def forward(half, v, tensors, metadata):
    index = 0
    while f"{half}.{index}.weight" in tensors:
        v = v @ tensors[f"{half}.{index}.weight"].T + tensors[f"{half}.{index}.bias"]
        name = metadata[f"{half}.{index}.activation"]
        if name.startswith("LeakyRelu("):
            v = np.where(v > 0, v, np.float32(name[10:-1]) * v)
        else:
            v = ACTIVATIONS[name](v)
        index += 1
    return v


def posterior(parameters, tensors, metadata):
    """The posterior's mean, and its KL to the prior: of a learned one the upper bound that a score takes."""
    d = int(metadata["latent"])
    if metadata["posterior"] == "Bernoulli":
        limit = float(metadata["latent_logit_limit"])
        p = sigmoid(np.clip(parameters, -limit, limit))
        return p, np.sum(p * np.log(2 * p) + (1 - p) * np.log(2 * (1 - p)), axis=1)
    if metadata["posterior"] == "Categorical":
        limit, k = float(metadata["latent_logit_limit"]), int(metadata["categories"])
        logits = np.clip(parameters, -limit, limit).reshape(-1, d // k, k)
        logs = logits - np.logaddexp.reduce(logits, axis=2, keepdims=True)
        return np.exp(logs).reshape(-1, d), np.sum(np.exp(logs) * (logs + np.log(k)), axis=(1, 2))
    mean, spread, limit = parameters[:, :d], parameters[:, d:], float(metadata["log_variance_limit"])
    if metadata["posterior"] == "DiagonalGaussian":
        logs = np.clip(spread, -limit, limit)
        variance, log_determinant = np.exp(logs), logs.sum(axis=1)
    else:
        row, column = np.tril_indices(d)
        logs = np.clip(spread[:, row == column], -limit / 2, limit / 2)
        factor = np.zeros((len(mean), d, d))
        factor[:, row, column] = spread
        factor[:, range(d), range(d)] = np.exp(logs)
        variance, log_determinant = np.sum(factor**2, axis=2), 2 * logs.sum(axis=1)
    if "prior.weight" not in tensors:
        return mean, 0.5 * (np.sum(variance + mean**2, axis=1) - d - log_determinant)
    s = tensors["prior.deviation"]
    squares = np.sum(((mean[:, None] - tensors["prior.mean"]) ** 2 + variance[:, None]) / s**2, axis=2)
    terms = np.log(tensors["prior.weight"]) - np.log(s).sum(axis=1) - 0.5 * squares
    return mean, -0.5 * (d + log_determinant) - np.logaddexp.reduce(terms, axis=1)


def log_likelihood(x, outputs, tensors, metadata):
    """Of each feature, NaN where it was not observed; what a missing one is taken to add before its cost; and differences in deviations."""
    if metadata["likelihood"] == "Bernoulli":
        return x * outputs - np.logaddexp(0, outputs), np.zeros_like(x), None
    if metadata["likelihood"].startswith("GaussianCovariance"):
        return each_given_those_before(x, outputs, tensors, metadata)
    mean, scale = tensors["standardiser.mean"], tensors["standardiser.scale"]
    if metadata["likelihood"] == "GaussianPredicted":
        low, high = [float(bound) for bound in metadata["log_variance_bounds"].split()]
        m, v = outputs[:, 0::2], np.clip(outputs[:, 1::2], low, high)
    else:
        m, v = outputs, np.broadcast_to(np.log(tensors["likelihood.variance"]), x.shape)
    if metadata["likelihood"] == "Mixed":
        return by_family(x, outputs, v, tensors)
    deviation = np.exp(0.5 * v)
    differences = np.clip((x - mean) / (scale * deviation), -LIMIT, LIMIT) - m / deviation
    normaliser = -0.5 * np.log(2 * np.pi) - np.log(scale) - 0.5 * v
    return normaliser - 0.5 * differences**2, normaliser, differences


def each_given_those_before(x, outputs, tensors, metadata):
    """The same of features that vary together, each given those before it that were observed."""
    low, high = [float(bound) for bound in metadata["log_variance_bounds"].split()]
    own, places = outputs.reshape(*x.shape, -1), np.arange(x.shape[1])
    covariance = own[:, :, 2:] @ own[:, :, 2:].transpose(0, 2, 1)
    covariance[:, places, places] += np.exp(np.clip(own[:, :, 1], low, high))
    scale = tensors["standardiser.scale"]
    off = np.clip((x - tensors["standardiser.mean"]) / scale, -LIMIT, LIMIT) - own[:, :, 0]
    given, variance = np.empty_like(x), np.empty_like(x)
    for window, feature in np.ndindex(x.shape):
        before = np.flatnonzero(~np.isnan(x[window, :feature]))
        c = covariance[window]
        gain = np.linalg.solve(c[np.ix_(before, before)], c[before, feature])
        given[window, feature] = off[window, feature] - gain @ off[window, before]
        variance[window, feature] = c[feature, feature] - gain @ c[before, feature]
    normaliser = -0.5 * np.log(2 * np.pi * variance) - np.log(scale)
    return normaliser - 0.5 * given**2 / variance, normaliser, None


def by_family(x, outputs, v, tensors):
    """The same of mixed features: numbers, zeros and ones, and columns of categories, whose nats are given to the slots by their shares."""
    family, scale = tensors["likelihood.family"], tensors["standardiser.scale"]
    normaliser = -0.5 * np.log(2 * np.pi) - np.log(scale) - 0.5 * v
    differences = np.clip((x - tensors["standardiser.mean"]) / scale, -LIMIT, LIMIT) - outputs
    each = np.where(family == 1, x * outputs - np.logaddexp(0, outputs), normaliser - 0.5 * differences**2 / np.exp(v))
    for start in np.flatnonzero(family < 0):
        end = start + 1
        while end < len(family) and family[end] == 2:
            end += 1
        shares, logits, other = x[:, start:end], outputs[:, start:end], family[start]
        known = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True) + np.log1p(-np.exp(other))
        each[:, start:end] = shares * known
        rest = np.maximum(0, 1 - np.sum(shares, axis=1))
        each[:, start] += np.where(np.isnan(rest), 0, rest) * other
    return each, np.where(family == 0, normaliser, 0), None


def judged_together(x, nats, differences, tensors, metadata):
    """The log-likelihood of complete windows with relations counted."""
    if metadata["relations.of_inputs"] == "true":
        differences = in_deviations(x, tensors)
    off = differences @ tensors["relations.weight"].T + tensors["relations.bias"]
    together = float(metadata["relations.offset"]) - 0.5 * np.sum(off**2, axis=1)
    return np.minimum(np.minimum(nats, together), float(metadata["relations.ceiling"]))


def in_deviations(x, tensors):
    scale = tensors["standardiser.scale"] * np.sqrt(tensors["likelihood.variance"])
    return np.clip((x - tensors["standardiser.mean"]) / scale, -LIMIT, LIMIT)


def mixed(x, tensors):
    """The log-density of the likeliest component of the mixture of the input."""
    y, best = in_deviations(x, tensors), -np.inf
    for constant, *values in tensors["relations.mixture"]:
        nats, at = constant, 0
        for i in range(x.shape[1]):
            nats = nats - 0.5 * (y[:, : i + 1] @ values[at : at + i + 1] - values[at + i + 1]) ** 2
            at += i + 2
        best = np.maximum(best, nats)
    return best


def scores(samples, condition, tensors, metadata):
    """Of samples [windows, samples, channels] and conditions [windows, conditions], in physical units, the columns of `vae-train score`."""
    if tensors["calibration"][17] != 0:
        raise SystemExit("this model's score is by samples (calibrate --score): its draws are the device's own")
    x, owners = features(samples, metadata)
    seen = ~np.isnan(x)
    missing = np.sum(~seen, axis=1)
    standardised = np.clip((x - tensors["standardiser.mean"]) / tensors["standardiser.scale"], -LIMIT, LIMIT)
    given = np.zeros((len(x), 0))
    if "condition.mean" in tensors:
        given = np.clip((condition - tensors["condition.mean"]) / tensors["condition.scale"], -LIMIT, LIMIT)
    parameters = forward("encoder", np.hstack([np.nan_to_num(standardised), given]), tensors, metadata)
    z, kl = posterior(parameters, tensors, metadata)
    outputs = forward("decoder", np.hstack([z, given]), tensors, metadata)
    each, normaliser, differences = log_likelihood(x, outputs, tensors, metadata)
    reconstruction = np.nansum(each, axis=1)

    nats, related = reconstruction, "relations.weight" in tensors
    if related:
        nats = np.where(missing == 0, judged_together(x, nats, differences, tensors, metadata), nats)
    score = nats - kl
    if related:
        outside = np.any((x < tensors["relations.least"]) | (x > tensors["relations.largest"]), axis=1)
        score = np.where(outside, np.minimum(score, float(metadata["relations.outside"])), score)
    if "relations.mixture" in tensors:
        score = np.where(missing == 0, np.minimum(score, mixed(x, tensors)), score)
    ordinary = normaliser - costs(owners, samples.shape[2], tensors["calibration"])
    score = score + np.sum(np.where(seen, 0, ordinary), axis=1)
    return {
        "elbo": reconstruction - kl,
        "reconstruction": reconstruction,
        "kl": kl,
        "score": score,
        "missing": missing,
        "p_value": [p_value(s, tensors["calibration"]) for s in score],
    }


# The calibration.


def costs(owners, channels, calibration):
    """What each feature costs in an ordinary window."""
    of_channels = calibration[29 : len(calibration) - int(calibration[28])]
    if len(of_channels) == 0:
        return 0.5
    nats = of_channels if len(of_channels) == channels else of_channels[4::13]
    return nats[owners] / np.bincount(owners)[owners]


def p_value(score, calibration):
    start, rate, scale, shape, base = calibration[5:10]
    quantiles = calibration[len(calibration) - int(calibration[28]) :]
    if -score > start and rate > 0:
        product, growth = shape * (-score - start) / scale, (-score - start) / scale
        if product <= -1:
            return 0.0
        growth = np.log1p(product) / shape if shape != 0 else growth
        above = rate * np.exp(-growth) if base == 0 else base * np.exp(np.log(rate / base) * np.exp(growth))
        return min(above, rate)
    share = np.interp(score, quantiles, np.linspace(0, 1, len(quantiles))) if len(quantiles) else 1.0
    return max(share, rate, 1 / (calibration[1] + 1))


def table(path, metadata):
    """Of a CSV file the samples and conditions of each window, and its last row."""
    with open(path, newline="") as file:
        names, *rows = csv.reader(file)
    columns = [metadata[kind].split("\n") if metadata[kind] else [] for kind in ("channels", "conditions")]
    origins = dict(reversed(line.split(" ", 1)) for line in metadata["origins"].split("\n") if line)
    number = lambda text, name: float(text or "nan") - float(origins.get(name, 0))
    cells = [[[number(row[names.index(name)], name) for name in kind] for row in rows] for kind in columns]
    # As a device has them.
    channels, conditions = [np.array(kind, "f4").reshape(len(rows), -1).astype("f8") for kind in cells]
    window, hop = int(metadata["window"]), int(metadata["hop"])
    last = np.arange(window - 1, len(rows), hop)
    return np.stack([channels[row + 1 - window : row + 1] for row in last]), conditions[last], last


def main(weights, data):
    tensors, metadata = read(weights)
    samples, condition, last = table(data, metadata)
    found = {"row": last, **scores(samples, condition, tensors, metadata)}
    out = csv.writer(sys.stdout)
    out.writerow(found)
    out.writerows(zip(*found.values()))


if __name__ == "__main__":
    main(*sys.argv[1:])
