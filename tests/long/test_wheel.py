"""The wheel, installed where no checkout is: everything is in it, no torch is replaced, and the commands work."""

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from importlib.metadata import Distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from benchmarks.installed import Installed, answered, bare, over, pipeline, told, tracked, wanted, wheel

pytestmark = pytest.mark.long
VERSIONS = ("3.11", "3.12", "3.13")
LABEL = ("-c", "from tutelage.cli.label.app import app; app()")
"""The commands of `tutelage label` alone, which need no torch."""
HEAVY = {"torch", "transformers", "peft", "tokenizers", "safetensors"}
OWN = f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def made(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """The wheel in an environment of its own, over the packages that the tests have."""
    folder = tmp_path_factory.mktemp("installed")
    made = over(folder / "here")
    made.pip("install", "-q", "--no-deps", package)
    yield made
    shutil.rmtree(folder)


def test_every_file_of_the_package_is_in_the_wheel(package: Path) -> None:
    packed = {name for name in zipfile.ZipFile(package).namelist() if name.startswith("tutelage/")}
    assert packed == {path.relative_to("src").as_posix() for path in tracked("src/tutelage")}
    assert {Path(name).suffix for name in packed} >= {".py", ".yaml", ".c", ".h", ".jinja", ".css", ".js", ".svg"}


def test_what_is_imported_is_the_wheels(made: Installed) -> None:
    where = Path(made.python("-c", "import tutelage; print(tutelage.__file__)").strip())
    assert where.is_relative_to(made.environment)


def test_torch_has_no_upper_bound(package: Path, made: Installed) -> None:
    said = made.python("-c", "from importlib.metadata import requires; print(*requires('tutelage'), sep='\\n')").splitlines()
    (torch,) = [Requirement(line) for line in said if Requirement(line).name == "torch"]
    assert torch.specifier.contains("2.6.0") and torch.specifier.contains("2.13.0+cpu") and torch.specifier.contains("3.1")
    assert not torch.specifier.contains("2.5.1") and not [r for r in map(Requirement, said) if r.name.startswith(("nvidia", "triton"))]


def test_the_torch_that_is_there_stays(package: Path, made: Installed) -> None:
    """pip, asked what it would install: the package alone."""
    made.python("-c", "import torch")
    assert wanted(made, package, "--force-reinstall", "--no-deps").keys() == {"tutelage"}
    assert "torch" not in wanted(made, package, "--no-index") and "tutelage" not in wanted(made, package, "--no-index")


def test_pip_would_say_so_if_a_torch_were_wanted(made: Installed, tmp_path: Path) -> None:
    """The report that the test above trusts names what is missing: a package of another torch can't be installed without an index."""
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "other"\nversion = "1"\ndependencies = ["torch<2"]\n')
    (tmp_path / "other.py").write_text("")
    told([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", tmp_path, tmp_path], tmp_path)
    (other,) = tmp_path.glob("other-*.whl")
    with pytest.raises(SystemExit, match="torch<2"):
        wanted(made, other, "--no-index", "--find-links", str(tmp_path))


def test_doctor_the_pipeline_prove_and_the_site(made: Installed) -> None:
    assert "torch" in made.tutelage("doctor")
    assert "Report: runs/nano" in pipeline(made)
    proved = made.tutelage("prove", "dpo", "--shape", "llama", "--adapter", "none")
    assert "split" in proved and "FAILS" not in proved
    assert "Start" in answered(made)


def interpreter(version: str) -> str:
    """A Python of another version that works (a shim of pyenv may not); the test is skipped where there is none."""
    beside = sorted(map(str, (Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python{version}")))
    for found in (shutil.which(f"python{version}"), *beside):
        if found and not subprocess.run([found, "-c", ""], capture_output=True).returncode:
            return found
    pytest.skip(f"no python{version} here")


@pytest.mark.parametrize("version", [version for version in VERSIONS if version != OWN])
def test_other_pythons(version: str, package: Path, tmp_path: Path) -> None:
    """Whatever needs no torch, people's site first of all, and that every file can be read by that Python. With TORCH_INDEX, which names
    where wheels of torch without CUDA are, everything: `python -m benchmarks.installed` does the same by hand."""
    made = bare(tmp_path / version, interpreter(version))
    index = os.environ.get("TORCH_INDEX")
    if index:
        made.pip("install", "-q", "torch", "--index-url", index)
        made.pip("install", "-q", package)
        assert "torch" in made.tutelage("doctor") and "Report: runs/nano" in pipeline(made)
    else:
        required = Distribution.at(next(package.parent.parent.glob("source/src/*.egg-info"))).requires or []
        light = [line for line in required if "extra ==" not in line and Requirement(line).name not in HEAVY]
        made.pip("install", "-q", *light)
        made.pip("install", "-q", "--no-deps", package)
    assert version in made.python("--version") and "Start" in answered(made, LABEL)
    made.python("-m", "compileall", "-q", made.environment / "lib" / f"python{version}" / "site-packages" / "tutelage")


def test_the_package_says_which_pythons_it_takes(made: Installed) -> None:
    said = made.python("-c", "from importlib.metadata import metadata; print(metadata('tutelage')['Requires-Python'])").strip()
    assert said == ">=3.11"
