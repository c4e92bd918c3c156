"""The package as a user gets it: a wheel, installed where no checkout is, tried with one torch and another.

    python -m benchmarks.installed                                  the wheel over this environment's own torch
    python -m benchmarks.installed 2.6.0 2.13.0 2.15.0              each of these in an environment of its own, one after the other
    python -m benchmarks.installed 2.6.0 --python python3.12 --index https://download.pytorch.org/whl/cpu
    python -m benchmarks.installed 2.6.0 --oldest                   with the oldest release that each dependency allows
    python -m benchmarks.installed 2.6.0 --into environments        keeps the environment, to run the tests in, and takes it up again

PyPI's wheels of torch for Linux bring CUDA with them, several GB; --index takes another's. Installing may never bring another torch than
the one that is there: that is asked of pip first. Then `doctor`, the nano pipeline, `prove dpo` and a labelling site that answers.
`tests/long/test_wheel.py` does the same with the torch that the tests have.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
SMALL = ("model.new=nano", "stages.base.tokens=8000", "stages.preferences.count=24", "stages.ppo.updates=1", "stages.evaluate.count=24")
ITEMS = '{"prompt": "Name an animal.", "responses": ["A fox.", "Why should I?"]}\n'
STUDY = "schema: 1\ntitle: Which answer helps more?\nquestions: [{task: pair}]\nitems: items.jsonl\n"


def tracked(folder: str = ".") -> list[Path]:
    """The checkout's files below `folder`, those that aren't committed yet included, ignored ones not."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", folder]
    names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    return [Path(name) for name in names if name and (ROOT / name).is_file()]


def wheel(folder: Path) -> Path:
    """The wheel of this checkout, built in `folder` from a copy of its files alone."""
    for name in tracked():
        (folder / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / "source" / name)
    told([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder / "dist", folder / "source"], folder)
    (made,) = (folder / "dist").glob("tutelage-*.whl")
    return made


@dataclass(frozen=True)
class Installed:
    """An environment that knows nothing of the checkout, and a folder to work in."""

    environment: Path
    folder: Path

    def python(self, *arguments: str | Path) -> str:
        """What its Python says. CalledProcessError, with what it said, where it fails."""
        return told([self.environment / "bin" / "python", *arguments], self.folder)

    def tutelage(self, *arguments: str | Path) -> str:
        return told([self.environment / "bin" / "tutelage", *arguments], self.folder)

    def pip(self, *arguments: str | Path) -> str:
        return self.python("-m", "pip", "--disable-pip-version-check", *arguments)

    def version(self, package: str) -> str:
        return self.python("-c", f"from importlib.metadata import version; print(version({package!r}))").strip()


def told(command: Sequence[str | Path], folder: Path) -> str:
    """Run a command outside of the checkout; its stdout. What it said goes into the error where it fails."""
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run([*map(str, command)], cwd=folder, env=clean, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}\nexit code {done.returncode}")
    return done.stdout


def over(folder: Path) -> Installed:
    """An environment of its own over the packages of this one, pip included. A path that is only named brings no editable installs."""
    made = bare(folder, sys.executable, "--without-pip")
    site = made.python("-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    (Path(site) / "beside.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return made


def bare(folder: Path, python: str, *options: str) -> Installed:
    """An empty environment."""
    (folder / "work").mkdir(parents=True)
    told([python, "-m", "venv", *options, folder / "environment"], folder)
    return Installed(folder / "environment", folder / "work")


def kept(folder: Path, python: str) -> Installed:
    """The environment that an earlier call left in `folder`, or a new one."""
    return Installed(folder / "environment", fresh(folder / "work")) if (folder / "environment").is_dir() else bare(folder, python)


def fresh(folder: Path) -> Path:
    """An empty folder in this place."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def wanted(made: Installed, package: str | Path, *options: str | Path) -> dict[str, str]:
    """What pip would install for `package`, {name: version}, without doing it."""
    report = json.loads(made.pip("install", "-q", "--dry-run", "--report", "-", *options, package))
    return {entry["metadata"]["name"].lower(): entry["metadata"]["version"] for entry in report["install"]}


def pipeline(made: Installed) -> str:
    """The whole recipe, nano and shortened; its closing words."""
    return made.tutelage("run", "instructgpt", *SMALL, "--out", "runs/nano")


def answered(made: Installed, label: Sequence[str] = ("-m", "tutelage", "label")) -> str:
    """Open the labelling site of a small study, follow the admin's link, and give the page. `label` is how Python is asked for it."""
    (made.folder / "items.jsonl").write_text(ITEMS)
    (made.folder / "study.yaml").write_text(STUDY)
    command = [str(made.environment / "bin" / "python"), *label, "study.yaml", "--port", "0"]
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    site = subprocess.Popen(command, cwd=made.folder, env={**clean, "PYTHONUNBUFFERED": "1"}, stdout=subprocess.PIPE, text=True)
    assert site.stdout
    try:
        link = next(found[0] for line in site.stdout if (found := re.search(r"http\S+/join/\S+", line)))
        return page_at(link, patience=60)
    finally:
        site.terminate()
        site.wait(30)
        site.stdout.close()


def page_at(link: str, patience: float) -> str:
    """The page, as soon as the server listens."""
    until = time.monotonic() + patience
    while True:
        try:
            with urllib.request.urlopen(link, timeout=patience) as page:
                return page.read().decode()
        except urllib.error.URLError as error:
            if not isinstance(error.reason, ConnectionRefusedError) or time.monotonic() > until:
                raise
            time.sleep(0.2)


def oldest(folder: Path) -> Path:
    """Constraints for pip: every dependency in the release that its bound in pyproject.toml begins with, torch as it is there."""
    asked = map(Requirement, tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"])
    pins = [f"{one.name}=={bound.version}" for one in asked if one.name != "torch" for bound in one.specifier if bound.operator == ">="]
    (folder / "oldest.txt").write_text("\n".join(pins) + "\n")
    return folder / "oldest.txt"


def check(made: Installed, package: Path, *options: str | Path) -> None:
    """Everything, told line by line; ends the process with what went wrong. `options` are pip's."""
    torch = made.python("-c", "import torch; print(torch.__version__)").strip()
    if "torch" in wanted(made, package, *options):
        raise SystemExit(f"pip would replace torch {torch} by {wanted(made, package, *options)['torch']}")
    made.pip("install", "-q", "--force-reinstall", "--no-deps", package)
    made.pip("install", "-q", *options, package)
    print(made.tutelage("doctor"))
    print(pipeline(made))
    print(made.tutelage("prove", "dpo", "--shape", "llama"))
    assert "Start" in answered(made)
    others = ", ".join(f"{name} {made.version(name)}" for name in ("transformers", "peft", "tokenizers", "huggingface_hub", "numpy"))
    print(f"torch {torch}, {made.python('--version').strip()}, {others}")
    print("doctor, the nano pipeline, prove and the labelling site work from the wheel")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("torch", nargs="*", help="versions; none: this environment's")
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--index", help="where torch comes from")
    parser.add_argument("--oldest", action="store_true", help="the oldest release of every other dependency that is allowed")
    parser.add_argument("--into", type=Path, help="a folder that keeps the environments; else they are gone at the end")
    asked = parser.parse_args()
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        package = wheel(folder)
        bounds = ("-c", oldest(folder)) if asked.oldest else ()
        for version in asked.torch:
            made = kept((asked.into or folder).resolve() / version, asked.python)
            made.pip("install", "-q", f"torch=={version}", *(["--index-url", asked.index] if asked.index else []))
            check(made, package, *bounds)
        if not asked.torch:
            check(over(folder / "here"), package, *bounds)


if __name__ == "__main__":
    main()
