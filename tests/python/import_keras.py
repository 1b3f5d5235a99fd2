"""A VAE of Keras' for tests/import.rs: python import_keras.py OUT DOCS, with torch or jax as the backend.

OUT/keras/ gets weights.safetensors (written by the recipe in DOCS, docs/import.md), mapping.toml, data.csv and scores.json as
import_torch.py writes them, computed by NumPy from the outputs of Keras' own encoder and decoder.
"""

import importlib.util
import json
import os
import re
import sys

os.environ.setdefault("KERAS_BACKEND", "torch" if importlib.util.find_spec("torch") else "jax")
import keras
import numpy as np
from keras import layers

MAPPING = """
transposed = true
[standardise]
mean = "normalization/mean"
variance = "normalization/variance"
[encoder]
layers = [
    { weight = "hidden/kernel", bias = "hidden/bias", activation = "leaky-relu", slope = 0.3, norm = { weight = "norm/gamma", bias =
        "norm/beta", mean = "norm/moving_mean", variance = "norm/moving_variance", epsilon = 1e-3 } },
    { weight = "second/kernel", bias = "second/bias", activation = "silu" },
]
mean = { weight = "z_mean/kernel", bias = "z_mean/bias" }
log_variance = { weight = "z_log_var/kernel", bias = "z_log_var/bias" }
[decoder]
layers = [{ weight = "third/kernel", bias = "third/bias", activation = "tanh" }]
mean = { weight = "output/kernel", bias = "output/bias" }
variance = 0.5
"""


def main(out, docs):
    keras.utils.set_random_seed(5)
    rng = np.random.default_rng(5)
    data = (rng.normal(size=(200, 6)) * [1, 2, 3, 0.1, 5, 1] + [0, 1, -5, 2, 0, 9]).astype("float32")

    normalization = layers.Normalization(name="normalization", mean=None)
    normalization.build((None, 6))
    normalization.adapt(data)
    x = keras.Input((6,))
    h = layers.LeakyReLU(negative_slope=0.3)(layers.BatchNormalization(name="norm")(layers.Dense(9, name="hidden")(normalization(x))))
    h = layers.Dense(6, activation="swish", name="second")(h)
    encoder = keras.Model(x, [layers.Dense(2, name="z_mean")(h), layers.Dense(2, name="z_log_var")(h)])
    z = keras.Input((2,))
    decoder = keras.Model(z, layers.Dense(6, name="output")(layers.Dense(9, activation="tanh", name="third")(z)))
    for variable in encoder.get_layer("norm").variables:
        variable.assign(rng.uniform(0.5, 1.5, variable.shape))

    folder = os.path.join(out, "keras")
    os.makedirs(folder)
    os.chdir(folder)
    blocks = re.findall(r"```python\n(.*?)```", open(docs).read(), re.S)
    exec(next(block for block in blocks if "safetensors.numpy" in block), {"encoder": encoder, "decoder": decoder})
    np.savetxt("data.csv", data, delimiter=",", header=",".join(f"f{i}" for i in range(6)), comments="", fmt="%.9g")
    open("mapping.toml", "w").write(MAPPING)

    to_numpy = lambda tensor: keras.ops.convert_to_numpy(tensor).astype("float64")
    mean, log_variance = map(to_numpy, encoder(data, training=False))
    output = to_numpy(decoder(mean.astype("float32"), training=False))
    moments = [to_numpy(weight).ravel() for weight in (normalization.mean, normalization.variance)]
    scaled = (data - moments[0]) / np.sqrt(moments[1])
    nats = -0.5 * ((scaled - output) ** 2 / 0.5 + np.log(2 * np.pi * 0.5)) - 0.5 * np.log(moments[1])
    kl = 0.5 * (np.exp(log_variance) + mean**2 - 1 - log_variance)
    json.dump({"reconstruction": nats.sum(1).tolist(), "kl": kl.sum(1).tolist()}, open("scores.json", "w"))


main(os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2]))
