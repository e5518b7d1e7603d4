"""The one rule of the cache: who may have written what is read, and where is written."""

import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dcgan_cupy.cache import cache_root, open_to_read, open_to_write, private_folder, why_not_read
from dcgan_cupy.data import DataError, faces, open_dataset
from dcgan_cupy.data.fetch import fetch
from dcgan_cupy.errors import UserError

ROOT = Path(__file__).resolve().parents[1]
OTHER_USER = 65534
needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("DCGAN_CUPY_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def opened(**options):
    return open_dataset("faces", 16, count=5, **options)


def kept_by(root, suffix):
    (path,) = (root / "data").glob(f"*{suffix}")
    return path


@pytest.mark.parametrize("umask", [0o000, 0o002, 0o022, 0o077, 0o777])
def test_folders_and_files_are_private_whatever_the_umask(root, umask):
    before = os.umask(umask)
    try:
        opened()
    finally:
        os.umask(before)
    assert len(list((root / "data").iterdir())) == 2
    for path in (root, *root.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    assert isinstance(opened().images, np.memmap)


@pytest.mark.parametrize("where", [".", "data"])
@pytest.mark.parametrize("mode", [0o770, 0o702, 0o777])
def test_a_folder_that_others_can_write_is_neither_read_nor_written(root, where, mode, monkeypatch):
    want = np.array(opened().images)
    before = sorted((path, path.stat().st_mtime_ns) for path in root.rglob("*"))
    (root / where).chmod(mode)
    calls = []
    monkeypatch.setattr(faces, "draw", lambda *a, draw=faces.draw: calls.append(a) or draw(*a))
    with pytest.warns(RuntimeWarning, match=rf"need a folder that only you can write, got mode {mode:o} \(chmod 700"):
        got = opened()
    assert len(calls) == 5 and not isinstance(got.images, np.memmap) and (got.images == want).all()
    assert sorted((path, path.stat().st_mtime_ns) for path in root.rglob("*")) == before


@needs_root
@pytest.mark.parametrize("where", [".", "data"])
def test_a_planted_set_is_not_used(root, where):
    want = np.array(opened().images)
    path = kept_by(root, ".npy")
    planted = bytearray(path.read_bytes())
    planted[-3000:] = bytes(3000)
    path.write_bytes(planted)
    os.chown(root / where, OTHER_USER, -1)
    with pytest.warns(RuntimeWarning, match=rf"need a folder of your own, got one of user {OTHER_USER}"):
        assert (opened().images == want).all()


@needs_root
@pytest.mark.parametrize("suffix", [".npy", ".json"])
def test_a_file_of_somebody_else_is_made_again(root, suffix):
    want = np.array(opened().images)
    os.chown(kept_by(root, suffix), OTHER_USER, -1)
    done = []
    assert (opened(progress=lambda *p: done.append(p)).images == want).all() and done
    assert kept_by(root, suffix).stat().st_uid == 0


@pytest.mark.parametrize("suffix", [".npy", ".json"])
def test_a_file_that_others_can_write_is_made_again(root, suffix):
    opened()
    kept_by(root, suffix).chmod(0o666)
    done = []
    opened(progress=lambda *p: done.append(p))
    assert done and stat.S_IMODE(kept_by(root, suffix).stat().st_mode) == 0o600


@pytest.mark.parametrize("make", ["link", "hard link", "dangling", "fifo", "socket"])
@pytest.mark.parametrize("suffix", [".part", ".journal", ".json.tmp", ".json", ".npy"])
def test_what_is_planted_in_the_place_of_a_file_is_replaced(root, suffix, make, monkeypatch):
    opened()
    stem = kept_by(root, ".json").with_suffix("")
    for path in (root / "data").iterdir():
        path.unlink()
    precious = root.parent / "precious"
    precious.write_text("of the victim")
    planted = stem.with_suffix(suffix)
    if make == "link":
        planted.symlink_to(precious)
    elif make == "hard link":
        os.link(precious, planted)
    elif make == "dangling":
        planted.symlink_to(root.parent / "nowhere")
    elif make == "fifo":
        os.mkfifo(planted, 0o600)
    else:
        monkeypatch.chdir(planted.parent)  # a socket's name is short
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(planted.name)
    assert isinstance(opened().images, np.memmap)
    assert precious.read_text() == "of the victim" and not (root.parent / "nowhere").exists()
    assert sorted(path.suffix for path in (root / "data").iterdir()) == [".json", ".npy"]
    assert all(path.is_file() and not path.is_symlink() for path in (root / "data").iterdir())


@needs_root
def test_a_link_of_somebody_else_is_not_followed(root):
    (root.parent / "large").mkdir(mode=0o700)
    root.mkdir(mode=0o700)
    (root / "data").symlink_to(root.parent / "large")
    assert isinstance(opened().images, np.memmap)  # our own link, to a larger disk
    os.chown(root / "data", OTHER_USER, -1, follow_symlinks=False)
    with pytest.warns(RuntimeWarning, match=rf"got one of user {OTHER_USER}"):
        opened()


def test_a_warm_cache_is_read_without_writing_anything(root, monkeypatch):
    want = np.array(opened().images)
    for name in ("mkdir", "open_to_write", "FileLock"):
        from dcgan_cupy.data.store import build

        owner = {"mkdir": Path, "open_to_write": build, "FileLock": build.filelock}[name]
        monkeypatch.setattr(owner, name, lambda *_, **__: pytest.fail("written"))
    assert (opened().images == want).all()


@needs_root
def test_what_root_prepared_is_read_by_others(root, monkeypatch):
    """Their own user is played: roots's files seen by somebody else."""
    want = np.array(opened().images)
    monkeypatch.setattr(os, "getuid", lambda: OTHER_USER)
    monkeypatch.setattr(faces, "draw", lambda *_: pytest.fail("drawn again"))
    assert (opened().images == want).all()
    with pytest.raises(UserError, match=r"need a folder of your own, got one of user 0"):
        private_folder(root / "data")


def test_a_fetched_set_that_others_could_change(root):
    folder = private_folder(root / "fetched" / "mnist")
    folder.chmod(0o777)
    with pytest.raises(DataError, match=r"source: need mnist as you fetched it, got cache: .* got mode 777"):
        open_dataset("mnist", 32)
    with pytest.raises(DataError, match=r"fetch: mnist: need it as you fetched it, got cache: .* got mode 777"):
        fetch("mnist")
    folder.chmod(0o700)
    assert why_not_read(folder) == "" and fetch("mnist") == folder


def test_under_a_folder_such_as_tmp(tmp_path):
    """All may write there, but none may rename what is another's."""
    (tmp_path / "t").mkdir()
    (tmp_path / "t").chmod(0o1777)
    assert private_folder(tmp_path / "t" / "cpu", tmp_path / "t").is_dir()
    (tmp_path / "t").chmod(0o777)
    with pytest.raises(UserError, match="got mode 777"):
        private_folder(tmp_path / "t" / "cpu", tmp_path / "t")


def test_files(tmp_path):
    path = tmp_path / "file"
    with open_to_write(path) as file:
        file.write(b"kept")
    with open_to_write(path) as file:  # nothing is cut
        assert file.read() == b"kept"
    with open_to_read(path) as file:
        assert file.read() == b"kept"
    path.chmod(0o620)
    with pytest.raises(PermissionError, match="only you can write"):
        open_to_read(path)


def test_a_literal_tilde(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DCGAN_CUPY_CACHE", "~/kept")
    assert cache_root() == tmp_path / "home" / "kept"
    monkeypatch.setenv("DCGAN_CUPY_CACHE", "kept")
    assert cache_root() == tmp_path / "kept"
    monkeypatch.setenv("DCGAN_CUPY_CACHE", "~nobody-of-this-name/x")
    with pytest.raises(UserError, match=r"^cache: need a home folder .*, got none"):
        cache_root()


def test_a_relative_xdg_path_is_ignored(tmp_path, monkeypatch):
    monkeypatch.delenv("DCGAN_CUPY_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", "relative/cache")
    assert cache_root() == tmp_path / ".cache" / "dcgan_cupy"


@pytest.mark.parametrize("home", ["/dev/null", "/proc", None])
def test_a_home_that_cannot_be_written(home, tmp_path):
    drop = ("DCGAN_CUPY_CACHE", "XDG_CACHE_HOME", "HOME")
    environment = {k: v for k, v in os.environ.items() if k not in drop} | {"PYTHONPATH": str(ROOT)}
    environment |= {"HOME": home} if home else {"HOME": "", "PYTHONDONTWRITEBYTECODE": "1"}
    if home is None and os.getuid() != 0:
        pytest.skip("only root can become a user without an entry")
    code = "import os, sys; from dcgan_cupy.data.__main__ import main\n"
    code += "if os.getuid() == 0 and not os.environ['HOME']: os.setuid(54321)\nsys.exit(main(sys.argv[1:]))"
    for arguments in (["info"], ["info", "faces", "--device", "cpu"], ["clear"]):
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments], capture_output=True, text=True, env=environment, cwd="/"
        )
        assert "Traceback" not in done.stderr
        if home is None and done.returncode:
            assert done.stderr.startswith("cache: need a home folder") and done.returncode == 2
        else:
            assert done.returncode == 0 and "cache" in done.stdout
