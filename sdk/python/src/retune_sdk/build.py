"""Makes a component of a plugin: the right world, the SDK beside the author's module, and componentize-py.

The module is imported here once, to read its roles; the world that is written from them includes `checkpoint` where the
plugin remembers. Only the SDK, the module's folder and what is named as `paths` is put into the component.
"""

from __future__ import annotations

import importlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from retune_sdk.export import exported, roles

_IMPORTS = {
    "preprocessor": ("tokenizer",),
    "loss": ("tensor", "fused", "batch"),
    "policy": (),
    "tensor-metric": ("tensor", "fused", "batch"),
    "text-metric": ("tokenizer",),
    "checkpoint": (),
}


def world(found: Sequence[str]) -> str:
    """The text of a world for these roles."""
    imports = sorted({each for role in found for each in _IMPORTS[role]})
    exports = ["plugin", *found] + (["metric"] if any(role.endswith("-metric") for role in found) else [])
    lines = ["include imports;", *(f"import {name};" for name in imports), *(f"export {name};" for name in exports)]
    return "world built-plugin {\n" + "".join(f"    {line}\n" for line in lines) + "}\n"


def build(module: Path, out: Path, paths: Sequence[Path] = ()) -> list[str]:
    """Writes the component of `module`, a file that calls `export`, to `out`, and gives its roles.

    Raises:
        FileNotFoundError: there is no such file, or no componentize-py.
        RuntimeError: the module exports nothing, or componentize-py fails.
    """
    module = module.resolve()
    if not module.is_file():
        raise FileNotFoundError(f"{module} is not a file; give the module that calls export(...)")
    beside = Path(sys.executable).with_name("componentize-py")
    tool = str(beside) if beside.exists() else shutil.which("componentize-py")
    if tool is None:
        raise FileNotFoundError("componentize-py is not installed: pip install componentize-py==0.25.1")
    sys.path[:0] = [str(module.parent), *(str(path) for path in paths)]
    importlib.import_module(module.stem)
    if not exported:
        raise RuntimeError(f"{module.name} exports no plugin; end it with export(YourClass)")
    found = roles(exported)
    package = Path(__file__).parent
    with tempfile.TemporaryDirectory() as folder:
        wit = Path(folder, "wit")
        shutil.copytree(package / "wit", wit, ignore=shutil.ignore_patterns("*.md"))
        (wit / "built.wit").write_text(world(found))
        library = Path(folder, "lib")
        skip = shutil.ignore_patterns("wit", "mock", "testing.py", "build.py", "__main__.py", "__pycache__")
        shutil.copytree(package, library / "retune_sdk", ignore=skip)
        # With WASI, CPython would import wasi:sockets, which the host refuses.
        command = [tool, "-d", str(wit), "-w", "built-plugin", "componentize", "--stub-wasi"]
        for path in (library, module.parent, *paths):
            command += ["-p", str(path)]
        command += [module.stem, "-o", str(out.resolve())]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"componentize-py failed:\n{done.stdout}{done.stderr}")
    return found
