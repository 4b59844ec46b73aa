"""Kernels whose machine code is stored: they do what Numba's do, or are left to Numba."""

import gc
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.util import source_hash
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import SAMPLES

import siftcli
from siftcli.formats import encode
from siftcli.kernels import cache
from siftcli.kernels import stored as _stored
from siftcli.kernels.stored import Store

pytestmark = pytest.mark.slow

DETECT = """
import sys, siftcli
from siftcli.formats import encode
sys.stdout.buffer.write(encode(siftcli.detect(sys.argv[1]), "npz"))
sys.exit("numba" in sys.modules)
"""


def scaled_sum(rows, factor, wants_root):
    """A kernel that allocates, loops and calls the mathematics library."""
    sums = np.zeros(rows.shape[1])
    for i in range(rows.shape[0]):
        for j in range(rows.shape[1]):
            sums[j] += np.float64(rows[i, j]) * factor
    total = np.sin(sums[0])
    for j in range(len(sums)):
        total += sums[j]
    return np.sqrt(total) if wants_root else total


def multiples(n, of):
    """A kernel that returns an array."""
    out = np.empty((n, 2), np.int32)
    for i in range(n):
        out[i, 0], out[i, 1] = i, i * of
    return out


def filled(row, value):
    """A kernel that returns nothing."""
    for i in range(len(row)):
        row[i] = value


def refusing(n):
    """A kernel that raises."""
    if n < 0:
        raise ValueError("expected a number of at least 0")
    return n


KERNELS = {
    scaled_sum: "float64(float32[:, ::1], float64, boolean)",
    multiples: "int32[:, ::1](int64, int64)",
    filled: "void(float64[:], float64)",
    refusing: "int64(int64)",
}


@pytest.fixture(scope="module")
def compiled():
    import numba

    return {f: numba.njit(s, nogil=True, error_model="numpy")(f) for f, s in KERNELS.items()}


@pytest.fixture
def folder(tmp_path, compiled):
    """A folder with the kernels, stored."""
    tmp_path.chmod(0o700)
    store = Store(tmp_path)
    for function, signature in KERNELS.items():
        store.keep(function, signature, compiled[function])
    return tmp_path


def load(folder, function, otherwise=None):
    return Store(folder).load(function, KERNELS[function], lambda: otherwise)


def file_of(folder, function):
    (path,) = folder.glob(f"*.{function.__name__}-*.kernel")
    return path


def test_a_stored_kernel_computes_what_numbas_does(folder, compiled):
    rows = np.random.default_rng(0).random((40, 17), np.float32)
    for arguments in ((rows, 1.5, True), (rows[:0], np.float64(2), False), (rows, 3, np.bool_(True))):
        assert load(folder, scaled_sum)(*arguments) == compiled[scaled_sum](*arguments)


def test_a_stored_kernel_returns_an_array_of_its_own(folder):
    kernel = load(folder, multiples)
    first, second = kernel(1000, 3), kernel(1000, 5)
    np.testing.assert_array_equal(first[:, 1], np.arange(1000) * 3)
    np.testing.assert_array_equal(second[:, 1], np.arange(1000) * 5)
    assert (first.dtype, first.flags.writeable, kernel(0, 1).shape) == (np.int32, True, (0, 2))


def test_a_stored_kernel_outlives_its_store(folder):
    kernels = [load(folder, multiples) for _ in range(20)]  # each of a store that is gone by now
    gc.collect()
    for kernel in kernels:
        assert kernel(3, 2)[:, 1].tolist() == [0, 2, 4]


def test_a_stored_kernel_fills_an_array_with_any_strides(folder):
    row = np.zeros(10)
    assert load(folder, filled)(row[::2], 7) is None
    np.testing.assert_array_equal(row, [7, 0] * 5)


def test_a_stored_kernel_raises_what_numbas_does(folder):
    with pytest.raises(ValueError, match="expected a number of at least 0"):
        load(folder, refusing)(-1)
    with pytest.raises(TypeError):
        load(folder, refusing)()


def test_arguments_of_another_type_go_to_numba(folder):
    rows = np.ones((4, 4), np.float32)
    locked = rows.copy()
    locked.flags.writeable = False
    kernel = load(folder, scaled_sum, lambda *arguments: "Numba")
    for other in (
        rows.astype(np.float64),
        rows[::2],
        rows.T[1:],
        rows[0],
        locked,
        rows.byteswap().view(">f4"),
        3,
    ):
        assert kernel(other, 1.0, False) == "Numba"
    assert kernel() == "Numba"


@pytest.mark.parametrize("n_bytes", [0, 5, 8, 200, -1])
def test_a_file_that_is_cut_is_not_used_and_is_replaced(folder, compiled, n_bytes):
    path = file_of(folder, scaled_sum)
    whole = path.read_bytes()
    path.write_bytes(whole[:n_bytes])
    assert load(folder, scaled_sum) is None
    Store(folder).keep(scaled_sum, KERNELS[scaled_sum], compiled[scaled_sum])
    assert load(folder, scaled_sum) is not None


def test_a_file_with_a_flipped_bit_is_not_used(folder):
    path = file_of(folder, scaled_sum)
    whole = path.read_bytes()
    for place in range(0, len(whole), len(whole) // 20):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert load(folder, scaled_sum) is None


def test_what_others_can_write_is_not_used(folder):
    path = file_of(folder, scaled_sum)
    path.chmod(0o620)
    assert load(folder, scaled_sum) is None
    path.chmod(0o600)
    folder.chmod(0o770)
    with pytest.raises(PermissionError):
        Store(folder)
    folder.chmod(0o700)
    assert load(folder, scaled_sum) is not None


def test_what_another_user_owns_is_not_used(folder, monkeypatch):
    monkeypatch.setattr(os, "getuid", lambda: folder.stat().st_uid + 1)
    with pytest.raises(PermissionError):
        Store(folder)
    assert _stored._read(file_of(folder, scaled_sum)) is None


def test_a_link_is_not_followed(folder):
    path = file_of(folder, scaled_sum)
    path.rename(folder / "elsewhere")
    path.symlink_to(folder / "elsewhere")
    assert load(folder, scaled_sum) is None


def test_files_are_written_for_their_owner_alone(folder):
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}


def test_code_for_other_circumstances_is_not_used(folder, monkeypatch):
    assert Store(folder).load(scaled_sum, "float64(float32[:, :], float64, boolean)", list) is None
    for module, name, other in (
        (_stored, "digest_of", lambda _: "other sources"),
        (_stored.llvm, "get_host_cpu_name", lambda: "another processor"),
        (np, "__version__", "0.0.1"),
        (sys, "version", "2.7"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, other)
            assert load(folder, scaled_sum) is None
    assert load(folder, scaled_sum) is not None


def test_code_that_cannot_be_linked_is_left_alone(folder, compiled):
    path = file_of(folder, scaled_sum)
    content = path.read_bytes()[8:].replace(b"numba", b"numbb").replace(b"cpython", b"cpythom", 1)
    content = source_hash(content) + content
    path.write_bytes(content)
    assert load(folder, scaled_sum) is None
    Store(folder).keep(scaled_sum, KERNELS[scaled_sum], compiled[scaled_sum])
    assert path.read_bytes() == content


def test_what_cannot_be_stored_is_noted_and_run_by_numba(tmp_path, compiled):
    tmp_path.chmod(0o700)
    store, signature = Store(tmp_path), "complex128(complex128)"
    store.keep(refusing, signature, compiled[refusing])
    assert _stored._read(file_of(tmp_path, refusing)) == b""
    assert store.load(refusing, signature, list) is None


def test_writers_at_once_leave_a_whole_file(tmp_path):
    path = tmp_path / "a.kernel"
    contents = {bytes([i]) * 100_000 for i in range(20)}
    with ThreadPoolExecutor(8) as pool:
        writing = [pool.submit(_stored._write, path, content) for content in contents]
        reading = [pool.submit(_stored._read, path) for _ in range(100)]
    for written in writing:
        written.result()
    assert {read.result() for read in reading} <= contents | {None}
    assert list(tmp_path.iterdir()) == [path]


def test_versions_that_were_not_tested_are_left_to_numba(folder, monkeypatch):
    ((numba_version, llvmlite_version),) = {
        pair for pair in _stored.TESTED_VERSIONS if pair[1] == _stored.llvmlite.__version__
    }
    for pairs in (set(), {("0.0.1", llvmlite_version)}, {(numba_version, "0.0.1")}):
        with monkeypatch.context() as patch, pytest.raises(ImportError, match=f"Numba {numba_version} and"):
            patch.setattr(_stored, "TESTED_VERSIONS", pairs)
            Store(folder)
    with monkeypatch.context() as patch, pytest.raises(ImportError):
        patch.setattr(sys, "version", f"{sys.version} free-threading build")  # an interpreter without a GIL
        Store(folder)
    for system in ("darwin", "win32"):
        with monkeypatch.context() as patch, pytest.raises(ImportError, match="system"):
            patch.setattr("siftcli.system.linking.sys", SimpleNamespace(platform=system))
            Store(folder)
    assert load(folder, scaled_sum) is not None


def test_kernels_of_others_are_not_stored():
    assert cache.store_of(scaled_sum) is None


def detect_elsewhere(script=DETECT, **environment):
    done = subprocess.run(
        [sys.executable, "-c", script, str(SAMPLES[0])],
        env={**os.environ, **environment},
        capture_output=True,
        check=False,
    )
    return done.stdout, bool(done.returncode), done.stderr


def test_a_later_process_needs_no_numba_and_finds_the_same():
    here = encode(siftcli.detect(SAMPLES[0]), "npz")  # compiled or loaded, and stored by now
    assert detect_elsewhere() == (here, False, b"")
    # The same kernels by Numba: it is told how to compile, so nothing stored is used.
    assert detect_elsewhere(NUMBA_OPT="3")[:2] == (here, True)


def test_numba_alone_finds_the_same():
    here = encode(siftcli.detect(SAMPLES[0]), "npz")
    assert detect_elsewhere(SIFTCLI_STORED_KERNELS="0")[:2] == (here, True)
    another_version = "from siftcli.kernels import stored\nstored.TESTED_VERSIONS = frozenset()\n"
    assert detect_elsewhere(another_version + DETECT)[:2] == (here, True)
    assert detect_elsewhere(SIFTCLI_STORED_KERNELS="1") == (here, False, b"")
