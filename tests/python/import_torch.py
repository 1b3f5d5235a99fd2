"""VAEs of PyTorch's for tests/import.rs: python import_torch.py OUT DOCS.

For each case OUT/CASE/ gets weights.safetensors (written by the recipe in DOCS, docs/import.md), mapping.toml, data.csv and scores.json,
a row's ELBO at the posterior's mean, reconstruction and KL by torch.distributions in double precision; for a linear decoder also the ELBO
itself, in closed form.
"""

import json
import os
import re
import sys

import torch
from torch import nn
from torch.distributions import Bernoulli, Independent, Normal, kl_divergence

ROWS = 200


def recipe(docs, language_hint):
    blocks = re.findall(r"```python\n(.*?)```", open(docs).read(), re.S)
    return next(block for block in blocks if language_hint in block)


class Vae(nn.Module):
    """What a case adds: encode(x) -> (mean, scale) of q(z|x) and decode(z) -> p(x|z), both of standardised x."""

    def standardise(self, x):
        return x

    def jacobian(self):
        return 0.0

    def elbo(self, x):
        x = self.standardise(x)
        q = Independent(Normal(*self.encode(x)), 1)
        prior = Independent(Normal(torch.zeros_like(q.mean), torch.ones_like(q.mean)), 1)
        reconstruction = self.decode(q.mean).log_prob(x) + self.jacobian()
        return reconstruction, kl_divergence(q, prior)


class Rows(Vae):
    """Separate heads, a fixed variance, inputs standardised by buffers, no bias in one layer."""

    mapping = """
[standardise]
mean = "centre"
scale = "spread"
[encoder]
layers = [
    { weight = "encoder.0.weight", bias = "encoder.0.bias", activation = "relu" },
    { weight = "encoder.2.weight", activation = "silu" },
]
mean = { weight = "mean.weight", bias = "mean.bias" }
log_variance = { weight = "log_variance.weight", bias = "log_variance.bias" }
[decoder]
layers = [{ weight = "decoder.0.weight", bias = "decoder.0.bias", activation = "softplus" }]
mean = { weight = "decoder.2.weight", bias = "decoder.2.bias" }
variance = 0.25
"""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(6, 17), nn.ReLU(), nn.Linear(17, 8, bias=False), nn.SiLU())
        self.mean, self.log_variance = nn.Linear(8, 3), nn.Linear(8, 3)
        self.decoder = nn.Sequential(nn.Linear(3, 16), nn.Softplus(), nn.Linear(16, 6))
        self.register_buffer("centre", torch.linspace(-3, 5, 6))
        self.register_buffer("spread", torch.linspace(0.5, 4, 6))

    def data(self):
        return self.centre + 2 * self.spread * torch.randn(ROWS, 6)

    def standardise(self, x):
        return (x - self.centre) / self.spread

    def jacobian(self):
        return -self.spread.log().sum()

    def encode(self, x):
        h = self.encoder(x)
        return self.mean(h), (0.5 * self.log_variance(h)).exp()

    def decode(self, z):
        return Independent(Normal(self.decoder(z), 0.5), 1)


class Images(Vae):
    """One head for both, probabilities out of a sigmoid."""

    mapping = """
[encoder]
layers = [{ weight = "encoder.0.weight", bias = "encoder.0.bias", activation = "tanh" }]
mean_and_log_variance = { weight = "encoder.2.weight", bias = "encoder.2.bias" }
[decoder]
layers = [{ weight = "decoder.0.weight", bias = "decoder.0.bias", activation = "sigmoid" }]
probabilities = { weight = "decoder.2.weight", bias = "decoder.2.bias" }
"""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(25, 12), nn.Tanh(), nn.Linear(12, 8))
        self.decoder = nn.Sequential(nn.Linear(4, 12), nn.Sigmoid(), nn.Linear(12, 25), nn.Sigmoid())

    def data(self):
        return (torch.rand(ROWS, 25) < 0.4).float()

    def encode(self, x):
        mean, log_variance = self.encoder(x).chunk(2, -1)
        return mean, (0.5 * log_variance).exp()

    def decode(self, z):
        return Independent(Bernoulli(self.decoder(z)), 1)


class Windows(Vae):
    """Windows of 5 samples of 2 channels, channel after channel; batch normalisation; scales are predicted on both sides."""

    mapping = """
channels = ["current", "speed"]
window = 5
hop = 5
channels_first = true
[standardise]
mean = [2.0, -1.0]
variance = [4.0, 0.25]
[encoder]
layers = [{ weight = "first.weight", bias = "first.bias", activation = "leaky-relu", slope = 0.2, norm = { weight = "norm.weight",
    bias = "norm.bias", mean = "norm.running_mean", variance = "norm.running_var", epsilon = 1e-5 } }]
mean_and_log_scale = { weight = "heads.weight", bias = "heads.bias" }
[decoder]
layers = [{ weight = "decoder.weight", bias = "decoder.bias", activation = "tanh" }]
mean = { weight = "location.weight", bias = "location.bias" }
log_scale = { weight = "log_scale.weight", bias = "log_scale.bias" }
"""

    def __init__(self):
        super().__init__()
        self.first, self.norm, self.heads = nn.Linear(10, 14), nn.BatchNorm1d(14), nn.Linear(14, 4)
        self.decoder, self.location, self.log_scale = nn.Linear(2, 9), nn.Linear(9, 10), nn.Linear(9, 10)
        with torch.no_grad():
            for buffer, low, high in [(self.norm.running_mean, -1, 1), (self.norm.running_var, 0.2, 3)]:
                buffer.uniform_(low, high)
            self.norm.weight.uniform_(0.5, 2)
            self.norm.bias.uniform_(-1, 1)

    def data(self):
        return torch.tensor([2.0, -1.0]) + torch.tensor([2.0, 0.5]) * torch.randn(5 * ROWS, 2)

    def windows(self, rows):
        return rows.reshape(-1, 5, 2).transpose(1, 2)

    def standardise(self, rows):
        x = self.windows(rows)
        return ((x - torch.tensor([[2.0], [-1.0]])) / torch.tensor([[2.0], [0.5]])).flatten(1)

    def jacobian(self):
        return -5 * (torch.tensor(2.0).log() + torch.tensor(0.5).log())

    def encode(self, x):
        mean, log_scale = self.heads(nn.functional.leaky_relu(self.norm(self.first(x)), 0.2)).chunk(2, -1)
        return mean, log_scale.exp()

    def decode(self, z):
        h = self.decoder(z).tanh()
        return Independent(Normal(self.location(h), self.log_scale(h).exp()), 1)


class Linear(Vae):
    """A linear decoder with a learned variance: the ELBO has a closed form."""

    mapping = """
[encoder]
layers = [{ weight = "hidden.weight", bias = "hidden.bias", activation = "tanh" }]
mean = { weight = "mean.weight", bias = "mean.bias" }
log_scale = { weight = "log_scale.weight", bias = "log_scale.bias" }
[decoder]
mean = { weight = "decoder.weight", bias = "decoder.bias" }
log_variance = "log_variance"
"""

    def __init__(self):
        super().__init__()
        self.hidden, self.mean, self.log_scale = nn.Linear(5, 7), nn.Linear(7, 2), nn.Linear(7, 2)
        self.decoder = nn.Linear(2, 5)
        self.log_variance = nn.Parameter(torch.linspace(-2, 1, 5))

    def data(self):
        return torch.randn(ROWS, 5)

    def encode(self, x):
        h = self.hidden(x).tanh()
        return self.mean(h), self.log_scale(h).exp()

    def decode(self, z):
        return Independent(Normal(self.decoder(z), (0.5 * self.log_variance).exp()), 1)

    def expected(self, x):
        """E_q[ln p(x|z)] - KL: the variance of a linear decoder's mean adds (1/2) sum (W S)^2 / v."""
        reconstruction, kl = self.elbo(x)
        _, scale = self.encode(x)
        moved = (self.decoder.weight[None] * scale[:, None]).square().sum(-1)
        return reconstruction - 0.5 * (moved / self.log_variance.exp()).sum(-1) - kl


def main(out, docs):
    torch.manual_seed(7)
    write = recipe(docs, "safetensors.torch")
    for case in (Rows, Images, Windows, Linear):
        vae = case().eval()
        with torch.no_grad():
            for parameter in vae.parameters():
                parameter.mul_(1.5)
        folder = os.path.join(out, case.__name__.lower())
        os.makedirs(folder)
        os.chdir(folder)
        exec(write, {"vae": vae})
        data = vae.data()
        names = ["current", "speed"] if case is Windows else [f"f{i}" for i in range(data.shape[1])]
        with open("data.csv", "w") as file:
            print(*names, sep=",", file=file)
            for row in data.tolist():
                print(*row, sep=",", file=file)
        with open("mapping.toml", "w") as file:
            file.write(case.mapping)
        with torch.no_grad():
            # What the weights and data are, in double precision.
            torch.set_default_dtype(torch.float64)
            vae, x = vae.double(), data.double()
            reconstruction, kl = vae.elbo(x)
            scores = {"reconstruction": reconstruction.tolist(), "kl": kl.tolist()}
            if case is Linear:
                scores["expected"] = vae.expected(x).tolist()
            torch.set_default_dtype(torch.float32)
        with open("scores.json", "w") as file:
            json.dump(scores, file)


main(os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2]))
