"""How MLflow loads a generator of cgm: this file lies in the model's folder, as ``code/cgm_generator.py``, and ``MLmodel`` names it.

Beside it lies the code that the generator was logged with, ``cgm.zip``, and in ``data/`` the run's settings and its weights as safetensors.
Nothing is unpickled.
"""

from __future__ import annotations

import sys
import warnings
import zipfile
from pathlib import Path
from typing import Any

from mlflow.exceptions import BAD_REQUEST, MlflowException

CODE = "cgm.zip"


class Served:
    """What ``mlflow.pyfunc.load_model`` wraps, and ``mlflow models serve`` asks."""

    def __init__(self, predictor: Any) -> None:
        self.predictor = predictor

    def predict(self, data: Any, params: dict[str, Any] | None = None) -> Any:
        """As :class:`cgm.methods.predictor.Predictor` has it; ``params``: its ``sample`` and ``png``."""
        from cgm.core.errors import UserError

        try:
            return self.predictor(data, **(params or {}))
        except UserError as error:
            raise MlflowException(str(error), error_code=BAD_REQUEST) from None


def _load_pyfunc(path: str) -> Served:
    """MLflow's hook. ``path``: the model's ``data``."""
    folder = Path(path)
    code = folder.parent / "code"  # not where this file lies: that may be an earlier model's
    for place in (code, code / CODE):  # of the user's own files, and ours
        if str(place) not in sys.path:
            sys.path.insert(0, str(place))
    import cgm
    from cgm.core.files import read_json
    from cgm.experiment.settings import Compute
    from cgm.methods.predictor import Predictor
    from cgm.training.device import pick_device

    imported = Path(str(cgm.__file__)).parents[1]
    if not _same(code / CODE, imported):
        warnings.warn(
            f"cgm is imported from {imported} already, and its code is another than that of this model; for exactly the model's pixels "
            "load it in a Python of its own",
            stacklevel=2,
        )
    settings = read_json(folder / "run.json")["config"]["compute"]
    device = pick_device(
        Compute(
            device="cpu" if settings["device"] == "cpu" else "auto", threads=settings["threads"], deterministic=settings["deterministic"]
        )
    )
    return Served(Predictor(folder, read_json(folder / "model.json")["test_inputs"], device))


def _same(archive: Path, imported: Path) -> bool:
    """Whether the code that is imported, from a folder or from another model's archive, is that of ``archive``."""
    if imported.is_file():
        return imported.read_bytes() == archive.read_bytes()
    with zipfile.ZipFile(archive) as files:
        here = (imported / name for name in files.namelist())
        return all(path.is_file() and path.read_bytes() == files.read(name) for path, name in zip(here, files.namelist(), strict=True))
