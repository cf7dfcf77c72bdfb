"""Limits: what is detected, and the plan made of it.

Version 2 of control groups is tested on a made-up tree only: where these tests were written the
controllers belong to version 1.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from spice_engine.errors import InvalidRequest
from spice_engine.workers.limits import GROUP_PREFIX, Limits, LimitSupport, detect, plan, sweep
from spice_runtime.shim_limits import LimitGroups

V2_MOUNT = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"


def v2_tree(root: Path, *, enabled: str, own: str = "/user.slice/app.slice/engine.scope") -> Path:
    top = root / "sys/fs/cgroup"
    here = top / own.lstrip("/")
    here.mkdir(parents=True)
    for folder in (top, *[path for path in top.rglob("*") if path.is_dir()]):
        (folder / "cgroup.procs").write_text("")
        (folder / "cgroup.subtree_control").write_text("")
        (folder / "cgroup.controllers").write_text("cpu io memory pids\n")
    (here.parent / "cgroup.subtree_control").write_text(enabled)
    proc = root / "proc/self"
    proc.mkdir(parents=True)
    (proc / "cgroup").write_text(f"0::{own}\n")
    (proc / "mountinfo").write_text(V2_MOUNT)
    return here.parent


def test_v2_uses_the_nearest_group_with_controllers(tmp_path: Path) -> None:
    slice_ = v2_tree(tmp_path, enabled="cpu memory pids\n")
    support = detect(tmp_path)
    assert (support.cpu, support.memory, support.pids) == ("cgroup2",) * 3
    assert support.memory_group == str(slice_)
    limits = plan(Limits(cpu=1.5, memory_bytes=2**28, pids=64), "job-1", support)
    (group,) = limits["groups"]
    assert group["path"] == str(slice_ / f"{GROUP_PREFIX}job-1")
    written = {file: value for file, value, _ in group["writes"]}
    assert written["cpu.max"] == "150000 100000"
    assert written["memory.max"] == str(2**28)
    assert written["memory.oom.group"] == "1"
    assert written["pids.max"] == "64"
    assert limits["oom"] == [str(slice_ / f"{GROUP_PREFIX}job-1" / "memory.events")]
    assert limits["rlimits"] == []


def test_v2_with_some_controllers_says_what_is_missing(tmp_path: Path) -> None:
    v2_tree(tmp_path, enabled="memory pids\n")
    support = detect(tmp_path)
    assert (support.cpu, support.memory, support.pids) == ("none", "cgroup2", "cgroup2")
    assert any("CPU cannot be limited" in reason for reason in support.reasons)
    assert plan(Limits(cpu=1), "job", support)["groups"] == []


def test_v2_that_is_not_ours_falls_back_to_rlimits(tmp_path: Path) -> None:
    v2_tree(tmp_path, enabled="")
    support = detect(tmp_path)
    assert (support.cpu, support.memory, support.pids) == ("none", "rlimit", "none")
    assert any("Delegate=yes" in reason for reason in support.reasons)
    limits = plan(Limits(cpu=1, memory_bytes=2**30, pids=5), "job", support)
    assert limits == {"groups": [], "oom": [], "rlimits": [["RLIMIT_AS", 2**30]]}


def test_no_control_groups_at_all(tmp_path: Path) -> None:
    support = detect(tmp_path)
    assert (support.cpu, support.memory, support.pids) == ("none", "rlimit", "none")
    assert support.reasons


def test_v1_in_a_container_uses_the_part_of_the_tree_it_sees(tmp_path: Path) -> None:
    proc = tmp_path / "proc/self"
    proc.mkdir(parents=True)
    (proc / "cgroup").write_text("4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc/inner\n0::/\n")
    (proc / "mountinfo").write_text(
        "31 23 0:27 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
        "32 23 0:28 /docker/abc /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
    )
    (tmp_path / "sys/fs/cgroup/memory").mkdir(parents=True)
    (tmp_path / "sys/fs/cgroup/cpu,cpuacct/inner").mkdir(parents=True)
    support = detect(tmp_path)
    assert (support.cpu, support.memory, support.pids) == ("cgroup1", "cgroup1", "none")
    assert support.memory_group == str(tmp_path / "sys/fs/cgroup/memory")
    assert support.cpu_group == str(tmp_path / "sys/fs/cgroup/cpu,cpuacct/inner")
    limits = plan(Limits(cpu=0.5, memory_bytes=10**8), "job", support)
    assert len(limits["groups"]) == 2
    assert limits["oom"][0].endswith("memory.oom_control")


@pytest.mark.parametrize("name", ["", "a/b", "..", "-x", "a b", "x" * 101])
def test_names_that_could_leave_the_folder_are_refused(name: str) -> None:
    with pytest.raises(InvalidRequest):
        plan(Limits(), name, LimitSupport("none", "none", "none"))


def test_negative_limits_are_refused() -> None:
    with pytest.raises(InvalidRequest):
        plan(Limits(cpu=-1), "job", LimitSupport("none", "none", "none"))


def test_the_shim_carries_a_v2_plan_out(tmp_path: Path) -> None:
    slice_ = v2_tree(tmp_path, enabled="cpu memory pids\n")
    path = slice_ / f"{GROUP_PREFIX}job"
    # The kernel would put the files there at mkdir; here they are there before.
    path.mkdir()
    for file in ("cpu.max", "memory.max", "pids.max", "cgroup.procs", "memory.events"):
        (path / file).write_text("")
    groups = LimitGroups(plan(Limits(1, 2**20, 9), "job", detect(tmp_path)))
    groups.make()
    assert (path / "cpu.max").read_text() == "100000 100000"
    assert (path / "memory.max").read_text() == str(2**20)
    (path / "memory.events").write_text("low 0\nhigh 0\nmax 12\noom 2\noom_kill 2\n")
    (path / "cgroup.procs").write_text("17\n4711\n")
    assert groups.oom_kills() == 2
    assert groups.members() == {17, 4711}


def test_a_limit_that_cannot_be_set_is_an_error_and_leaves_no_group(tmp_path: Path) -> None:
    v2_tree(tmp_path, enabled="memory\n")
    limits = plan(Limits(memory_bytes=2**20), "job", detect(tmp_path))
    with pytest.raises(FileNotFoundError):
        LimitGroups(limits).make()
    assert not Path(limits["groups"][0]["path"]).exists()


def test_sweeping_removes_old_empty_groups_only(tmp_path: Path) -> None:
    slice_ = v2_tree(tmp_path, enabled="memory\n")
    (slice_ / f"{GROUP_PREFIX}old").mkdir()
    (slice_ / f"{GROUP_PREFIX}busy").mkdir()
    (slice_ / f"{GROUP_PREFIX}busy" / "cgroup.procs").write_text("1\n")
    for group in slice_.glob(f"{GROUP_PREFIX}*"):
        os.utime(group, (1.0, 1.0))
    (slice_ / f"{GROUP_PREFIX}about-to-be-entered").mkdir()
    assert sweep(detect(tmp_path)) == 1
    assert not (slice_ / f"{GROUP_PREFIX}old").exists()
    assert (slice_ / f"{GROUP_PREFIX}busy").exists()
