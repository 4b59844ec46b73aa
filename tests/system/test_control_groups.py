"""Limits of control groups, in made trees of ``/proc`` and ``/sys``."""

from __future__ import annotations

import pytest

from siftcli.system import cores, memory
from siftcli.system.control_groups import cores_allowed, memory_allowed

V2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = (
    "31 23 0:27 {group} /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
    "32 23 0:28 {group} /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
)


def made(root, mounts, groups, files):
    """A tree: the texts of ``mountinfo`` and ``cgroup``, and files below ``/sys/fs/cgroup``."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/mountinfo").write_text("22 1 8:1 / / rw - ext4 /dev/sda1 rw\n" + mounts)
    (root / "proc/self/cgroup").write_text(groups)
    for name, text in files.items():
        path = root / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return root


@pytest.mark.parametrize(
    ("files", "n_cores", "n_bytes"),
    [
        ({}, None, None),
        ({"cpu.max": "max 100000", "memory.max": "max"}, None, None),
        ({"cpu.max": "150000 100000", "memory.max": "4096"}, 1.5, 4096),
        ({"jobs/one/cpu.max": "200000 100000", "jobs/one/memory.max": "8192"}, 2.0, 8192),
        # The least of the group's own and of those above it.
        ({"jobs/cpu.max": "50000 100000", "jobs/one/cpu.max": "400000 100000"}, 0.5, None),
        ({"memory.max": "9000", "jobs/memory.max": "max", "jobs/one/memory.max": "10000"}, None, 9000),
        # That of another group is not ours.
        ({"jobs/two/cpu.max": "10000 100000", "jobs/two/memory.max": "1"}, None, None),
        ({"cpu.max": "nonsense", "memory.max": ""}, None, None),
    ],
)
def test_version_2(tmp_path, files, n_cores, n_bytes):
    root = made(tmp_path, V2, "0::/jobs/one\n", files)
    assert (cores_allowed(root), memory_allowed(root)) == (n_cores, n_bytes)


@pytest.mark.parametrize(("group", "inside"), [("/", "docker/abc/"), ("/docker/abc", "")])
def test_version_1_outside_and_inside_of_a_container(tmp_path, group, inside):
    files = {
        f"cpu,cpuacct/{inside}cpu.cfs_quota_us": "250000",
        f"cpu,cpuacct/{inside}cpu.cfs_period_us": "100000",
        f"memory/{inside}memory.limit_in_bytes": "1048576",
    }
    groups = "4:cpu,cpuacct:/docker/abc\n3:memory:/docker/abc\n1:name=systemd:/docker/abc\n"
    root = made(tmp_path, V1.format(group=group), groups, files)
    assert (cores_allowed(root), memory_allowed(root)) == (2.5, 1048576)


def test_no_quota_of_version_1_and_a_name_with_a_blank(tmp_path):
    files = {
        "cpu,cpuacct/a b/cpu.cfs_quota_us": "-1",
        "cpu,cpuacct/a b/cpu.cfs_period_us": "100000",
        "memory/memory.limit_in_bytes": "4096",
    }
    root = made(tmp_path, V1.format(group="/"), "4:cpu,cpuacct:/a b\n3:memory:/a b\n", files)
    assert (cores_allowed(root), memory_allowed(root)) == (None, 4096)
    other = made(tmp_path / "other", V2.replace("/sys/fs", r"/sys/f\040s"), "0::/\n", {})
    (other / "sys/f s/cgroup").mkdir(parents=True)
    (other / "sys/f s/cgroup/memory.max").write_text("77\n")
    assert memory_allowed(other) == 77


def test_a_process_that_was_moved_in_from_outside(tmp_path):
    root = made(tmp_path, V2, "0::/../elsewhere\n", {"memory.max": "4096"})
    (root / "sys/fs/elsewhere").mkdir()
    (root / "sys/fs/elsewhere/memory.max").write_text("1\n")
    assert memory_allowed(root) == 4096


def test_systems_without_groups(tmp_path):
    assert (cores_allowed(tmp_path), memory_allowed(tmp_path)) == (None, None)


@pytest.mark.parametrize(("quota", "n"), [(None, 8), (0.2, 1), (1.0, 1), (1.5, 2), (7.9, 8), (64.0, 8)])
def test_cores_are_those_of_the_quota_at_most(monkeypatch, quota, n):
    monkeypatch.setattr(cores, "_core_numbers", lambda: list(range(8)))
    monkeypatch.setattr(cores, "cores_allowed", lambda: quota)
    monkeypatch.setattr("os.process_cpu_count", lambda: 8, raising=False)  # Python has it from 3.13 on
    assert cores.usable_cores() == n


def test_memory_that_is_available_is_within_the_group(monkeypatch):
    monkeypatch.setattr(memory, "memory_allowed", lambda: None)
    whole, free = memory.total_memory(), memory.available_memory()
    assert 0 < free <= whole
    monkeypatch.setattr(memory, "memory_allowed", lambda: 1 << 20)
    assert memory.total_memory() == memory.available_memory() == 1 << 20


def test_memory_of_this_process():
    before = memory.peak_memory()
    assert 1 << 20 < memory.resident_memory() < 2 * before
    block = bytearray(64 << 20)
    block[::4096] = b"x" * len(block[::4096])
    assert memory.peak_memory() >= before
    assert memory.peak_memory() >= memory.resident_memory() * 0.9 > len(block) * 0.9
