"""The same network in JAX and optax: an epoch is one compiled scan over its batches, with the rows on the device.

python benchmarks/peers/jax_scan.py FOLDER [SEED]

Tried on two cores. Kept, as faster: weights and order drawn by NumPy, as JAX's own example from scratch does (drawing
them by jax.random takes a second to compile), and the accuracy compiled too. Left out, as no faster: all epochs and the
start in one program, the rows put in order before the scan, uint8 on the device, the scan unrolled by four, and
`optax.flatten`, by far the slowest. The last half batch of an epoch is dropped, so that all have one shape.
"""

import sys
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from idx import read

WIDTHS, BATCH = (784, 256, 128, 10), 64
adam = optax.adam(1e-3)


def start(random):
    """Weights as PyTorch draws them for a Linear layer, zero biases, and Adam's moments."""
    bounds = [(i**-0.5, i, o) for i, o in zip(WIDTHS, WIDTHS[1:], strict=False)]
    params = [(random.uniform(-b, b, (i, o)).astype(np.float32), np.zeros(o, np.float32)) for b, i, o in bounds]
    return params, adam.init(params)


def forward(params, x):
    *hidden, (last, bias) = params
    for w, b in hidden:
        x = jax.nn.relu(x @ w + b)
    return x @ last + bias


@partial(jax.jit, donate_argnums=0)
def epoch(state, order, x, y):
    def step(state, rows):
        params, moments = state

        def loss(params):
            return optax.softmax_cross_entropy_with_integer_labels(forward(params, x[rows]), y[rows]).mean()

        updates, moments = adam.update(jax.grad(loss)(params), moments)
        return (optax.apply_updates(params, updates), moments), None

    steps = len(x) // BATCH
    return jax.lax.scan(step, state, order[: steps * BATCH].reshape(steps, BATCH))[0]


@jax.jit
def accuracy(params, x, y):
    return (forward(params, x).argmax(1) == y).mean()


folder, random = Path(sys.argv[1]), np.random.default_rng(int(sys.argv[2]) if len(sys.argv) > 2 else 0)
state = start(random)
x, y = map(jnp.asarray, read(folder, "train"))
for _ in range(3):
    state = epoch(state, random.permutation(len(x)), x, y)
print(f"test accuracy {accuracy(state[0], *read(folder, 't10k')):.2%}")
