"""A PyTorch model of the user's own, trained and exported here: optional, since PyTorch takes 5 GB.

The user brings a function that builds a module; nothing pickled is read. The exported model is compared with the
trained one as every other is. What the user's own code raises ends the training with one line that says where.
"""

import contextlib
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto

from contracts.errors import ConfigurationError
from pipelines.training.kinds import Choice, Kind, Range, Settings, Trained
from pipelines.training.layers import INPUT, IR_VERSION, OPSET, OUTPUT

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
#: From the number of features and of windows to a ``torch.nn.Module`` from (m, F), or (m, T, F), to (m, F).
Build = Callable[[int, int], Any]

_BATCH: Final = 256
_ROWS_AT_ONCE: Final = 8192


def torch_kind(build: Build, window_count: int = 1) -> Kind:
    """Return the kind of a module that `build` makes, trained to give the newest window of healthy examples.

    Parameters
    ----------
    build : callable
        Called with the number of features and of windows.
    window_count : int
        Windows that make an example.

    Raises
    ------
    ConfigurationError
        If PyTorch isn't installed.
    """
    _torch()

    def fit(x: F32, faulty: NDArray[np.bool_], settings: Settings, seed: int) -> Trained:
        del faulty  # none is among what a network learns from
        return _fit(build, window_count, x, settings, seed)

    return Kind(
        name="torch",
        says="Train a PyTorch module of your own.",
        fit=fit,
        defaults={"steps": 600, "learning_rate": 3e-3, "noise": 0.3},
        space={
            "steps": Choice((300, 600, 1200)),
            "learning_rate": Range(5e-4, 1e-2, log=True),
            "noise": Range(0.0, 1.0),
        },
        window_count=window_count,
    )


@dataclass(frozen=True, slots=True, eq=False)
class TorchModel:
    """A trained module."""

    module: Any
    example: F32

    def rebuild(self, x: F32) -> F64:
        """Return the newest windows (m, F) as PyTorch has them."""
        torch = _torch()
        with _yours("asked"), torch.no_grad():
            parts = [
                self.module(torch.from_numpy(np.ascontiguousarray(x[start : start + _ROWS_AT_ONCE]))).numpy()
                for start in range(0, len(x), _ROWS_AT_ONCE)
            ]
        return np.concatenate(parts).astype(np.float64)

    def export(self) -> ModelProto:
        """Return the module in ONNX form."""
        torch, content = _torch(), io.BytesIO()
        with _yours("exported"):
            torch.onnx.export(
                self.module,
                (torch.from_numpy(self.example),),
                content,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_axes={INPUT: {0: "rows"}, OUTPUT: {0: "rows"}},
                opset_version=OPSET,
                dynamo=False,
            )
        model = onnx.load_from_string(content.getvalue())
        model.ir_version = IR_VERSION
        return model


def _fit(build: Build, window_count: int, x: F32, settings: Settings, seed: int) -> TorchModel:
    torch = _torch()
    torch.manual_seed(seed)
    with _yours("built"):
        module = build(x.shape[-1], window_count)
    if not isinstance(module, torch.nn.Module):
        raise ConfigurationError(f"the function built a {type(module).__name__}, a torch.nn.Module is needed")
    example = np.ascontiguousarray(x[:2])
    module.eval()
    with _yours("asked"), torch.no_grad():
        shape = tuple(module(torch.from_numpy(example)).shape)
    if shape != (len(example), x.shape[-1]):
        raise ConfigurationError(
            f"your module gives shape {shape} for {example.shape}; the newest window of each example is needed,"
            f" {(len(example), x.shape[-1])}"
        )
    module.train()
    with _yours("trained"):
        _descend(module, x, settings, seed)
    module.eval()
    return TorchModel(module, example)


def _descend(module: Any, x: F32, settings: Settings, seed: int) -> None:
    """Train a module to give the newest window of noisy examples, by Adam."""
    torch, rng = _torch(), np.random.default_rng(seed)
    optimizer = torch.optim.Adam(module.parameters(), lr=settings["learning_rate"])
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, settings["steps"])
    for _ in range(settings["steps"]):
        rows = torch.from_numpy(x[rng.integers(0, len(x), _BATCH)])
        wanted = rows if rows.ndim == 2 else rows[:, -1]
        loss = ((module(rows + settings["noise"] * torch.randn(rows.shape)) - wanted) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()


@contextlib.contextmanager
def _yours(what: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # the module is the user's: it may raise anything
        lines = str(error).strip().splitlines() or [""]
        raise ConfigurationError(f"your module can't be {what}: {type(error).__name__}: {lines[0]}"[:500]) from error


def _torch() -> Any:
    try:
        import torch  # noqa: PLC0415 -- optional
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"{error.name} isn't installed; it is yours to bring (docs/training.md): ./faultline bootstrap torch"
        ) from None
    return torch
