"""What `model:` may name: a folder, or a hub id whose copy is in the Hugging Face cache."""

from pathlib import Path

import huggingface_hub.constants
import pytest

from tutelage.core.errors import UserError
from tutelage.recipes.sources import model_of

REVISION = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache in the hub's own layout, with one model in it."""
    repo = tmp_path / "models--someone--tiny"
    snapshot = repo / "snapshots" / REVISION
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text(REVISION)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    return snapshot


def test_a_hub_id_is_the_copy_in_the_cache(cache: Path):
    found = model_of("someone/tiny", "model")
    assert found.path == cache
    before = found.hash
    (cache / "config.json").write_text('{"hidden_size": 8}')
    assert model_of("someone/tiny", "model").hash != before  # another revision is another model


def test_what_is_not_in_the_cache_is_not_downloaded(cache: Path):
    with pytest.raises(UserError, match="`hf download someone/large` brings it"):
        model_of("someone/large", "recipe.yaml:3 model")


def test_a_copy_without_its_config_is_refused(cache: Path):
    (cache / "config.json").unlink()
    with pytest.raises(UserError, match=r"has no config\.json"):
        model_of("someone/tiny", "model")
