"""Windows per second that PyTorch trains: python training.py a|b THREADS eager|fused|compiled. The cases are those of training.rs.

eager is Adam as it comes, fused Adam in one pass (fused=True), compiled that and the loss by torch.compile.
"""

import sys
import time

import torch
from torch import nn
from torch.nn import functional as F

EPOCHS = 8


class Vae(nn.Module):
    def __init__(self, features, hidden, latent, activation):
        super().__init__()
        encoder = [features, *hidden, 2 * latent]
        decoder = [latent, *reversed(hidden), features]
        self.encoder = nn.ModuleList(nn.Linear(i, o) for i, o in zip(encoder, encoder[1:]))
        self.decoder = nn.ModuleList(nn.Linear(i, o) for i, o in zip(decoder, decoder[1:]))
        self.log_variance = nn.Parameter(torch.zeros(features))
        self.activation = activation

    def run(self, layers, x):
        for layer in layers[:-1]:
            x = self.activation(layer(x))
        return layers[-1](x)

    def forward(self, x):
        mean, log_variance = self.run(self.encoder, x).chunk(2, 1)
        log_variance = log_variance.clamp(-10, 10)
        z = mean + (0.5 * log_variance).exp() * torch.randn_like(mean)
        kl = 0.5 * (log_variance.exp() - log_variance - 1 + mean * mean).sum()
        return self.run(self.decoder, z), kl


def gaussian(model, x, output):
    log_variance = model.log_variance.clamp(-2.302585, 4.6)
    difference = x - output
    return 0.5 * (difference * difference * (-log_variance).exp() + log_variance + 1.837877).sum()


def bernoulli(model, x, output):
    return F.binary_cross_entropy_with_logits(output, x, reduction="sum")


def main(case, threads, way):
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    if case == "a":
        features, hidden, latent, activation, nll, batch, steps = 640, [128, 128], 8, F.relu, gaussian, 512, 40
        data = torch.empty(steps * batch, features).uniform_(-1.7, 1.7)
    else:
        features, hidden, latent, activation, nll, batch, steps = 784, [200, 200], 50, torch.tanh, bernoulli, 100, 120
        data = torch.rand(steps * batch, features)
    model = Vae(features, hidden, latent, activation)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=way != "eager")

    def loss_of(x):
        output, kl = model(x)
        return (nll(model, x, output) + kl) / len(x)

    if way == "compiled":
        loss_of = torch.compile(loss_of)
    best = float("inf")
    for epoch in range(EPOCHS + 1):
        started = time.perf_counter()
        bound = 0.0
        for indices in torch.randperm(len(data)).split(batch):
            x = data[indices]
            loss = loss_of(x)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            bound -= loss.item()
        if epoch > 0:
            best = min(best, time.perf_counter() - started)
    print(len(data) / best)


main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
