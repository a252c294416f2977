"""Run an ONNX graph the way Leadline always runs one: on the CPU, a given number of threads, one output a name."""

from __future__ import annotations

import ctypes
import importlib.util
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from leadline.graph.wire import mentions
from leadline.system.errors import ModelError

if TYPE_CHECKING:
    import onnx

EXTENSIONS = "ai.onnx.contrib"  # the domain of operators that onnxruntime-extensions brings
ERROR = 3  # onnxruntime's log level: warnings about shapes it cannot know are of no use to our users


class Session:
    """A loaded graph. `session({"x": array})` returns {output name: array}.

    Args:
        model: a path, the bytes of a model, or a `ModelProto`.
        threads: cores that one call may use.
    """

    def __init__(self, model: str | Path | bytes | onnx.ModelProto, threads: int = 1) -> None:
        self._model, self._threads = model, threads
        self._open()

    def _open(self) -> None:
        import onnxruntime as ort

        model = self._model
        options = ort.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        # Threads that wait by spinning take the core from whom they wait for, where other work shares the machine.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = ERROR
        if isinstance(model, (str, Path)):
            data: str | bytes = str(model)  # the runtime reads a file by parts; of bytes it makes a second copy
            extended = mentions(Path(model), EXTENSIONS.encode())
        else:
            data = model if isinstance(model, bytes) else model.SerializeToString()
            extended = EXTENSIONS.encode() in data
        if extended:
            options.register_custom_ops_library(_extensions())
        self._session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        self._session._model_bytes = None  # with which it could be made again, as large as the weights
        self._process = os.getpid()
        self.inputs: list[str] = [value.name for value in self._session.get_inputs()]
        self.outputs: list[str] = [value.name for value in self._session.get_outputs()]
        self.metadata: dict[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)

    def __call__(self, feeds: Mapping[str, Any], outputs: Sequence[str] | None = None) -> dict[str, np.ndarray]:
        names = list(outputs) if outputs is not None else self.outputs
        return dict(zip(names, self._here().run(names, dict(feeds)), strict=True))

    def only(self, feeds: Mapping[str, Any]) -> np.ndarray:
        """The one output of a graph that has one."""
        (value,) = self._here().run(None, dict(feeds))
        return np.asarray(value)

    def _here(self) -> Any:
        """The session of this process: the threads of another one's do not come along in a fork."""
        if self._process != os.getpid():
            # To end a session is to wait for its threads, which are not there: this one is never ended.
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._session))
            self._open()
        return self._session


def _extensions() -> str:
    """The library of onnxruntime-extensions, by its path: importing the package takes seconds and pulls in torch."""
    spec = importlib.util.find_spec("onnxruntime_extensions")
    folders = spec.submodule_search_locations if spec is not None else None
    libraries = [
        path for folder in folders or [] for path in Path(folder).glob("_extensions_pydll*") if path.suffix != ".pyi"
    ]
    if not libraries:
        raise ModelError(
            "The file cuts text into byte pairs, which needs a package: pip install onnxruntime-extensions."
        )
    return str(libraries[0])
