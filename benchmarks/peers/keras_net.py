"""The same network in Keras 3, by `compile` and `fit` on arrays in memory.

python benchmarks/peers/keras_net.py FOLDER [SEED]

Kept, as the fastest of the backends on two cores: JAX (8 s; PyTorch takes 20 s, TensorFlow 15 s, or 11 s with 64 steps
a call). A whole epoch a call and no metric followed in training save up to a second more.
"""

import os
import sys
from pathlib import Path

os.environ["KERAS_BACKEND"] = "jax"

import keras
from idx import read
from keras import layers

folder = Path(sys.argv[1])
keras.utils.set_random_seed(int(sys.argv[2]) if len(sys.argv) > 2 else 0)

net = keras.Sequential(
    [keras.Input((784,)), layers.Dense(256, "relu"), layers.Dense(128, "relu"), layers.Dense(10)]
)  # fmt: skip
net.compile(
    optimizer=keras.optimizers.Adam(1e-3),
    loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    steps_per_execution=938,
)
net.fit(*read(folder, "train"), batch_size=64, epochs=3, verbose=0)

x, y = read(folder, "t10k")
print(f"test accuracy {(net.predict(x, batch_size=1000, verbose=0).argmax(1) == y).mean():.2%}")
