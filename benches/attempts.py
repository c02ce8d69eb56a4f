"""A sweep that is interrupted and goes on, beside one that nothing interrupted, for gpu.py."""

import os
import pathlib
import subprocess
import time

from rig import Failed

# Sums are added in another order where packs differ, and on a GPU at any time; on a CPU nothing differs.
LOSS_GAP = 0.05


def sweep(rig, given):
    models = [dict(arch=arch, **keys) for arch, keys in given["models"]]
    axes, train = dict(examples=1000, seed=[0, 1]), dict(batch=given["batch"], evals=4)
    return rig.sweep("attempts", models, axes=axes, budget=dict(steps=given["steps"]), train=train)


def straight(rig, given):
    """The store of one that nothing interrupted, trained once."""
    store = rig.folder / "straight"
    if not store.exists():
        rig.train(sweep(rig, given), store)
    return store


def cut(rig, given, name, sign):
    """The store of one that was sent a signal after its first checkpoint, and run again; and workers that outlived it."""
    store, path = rig.folder / name, sweep(rig, given)
    with open(rig.folder / f"{name}.log", "w+") as log:
        run = subprocess.Popen(rig.command(path, store), env=rig.env, cwd=rig.folder, stdout=log, stderr=log,
                               start_new_session=True)
        try:
            while not list(store.glob("*/checkpoint*.safetensors")):
                rig.left()
                if run.poll() is not None:
                    log.seek(0)
                    raise Failed(f"it was over before it had a checkpoint ({run.returncode}): {log.read()[-300:]}")
                time.sleep(0.01)
            run.send_signal(sign)
            run.wait(rig.left())
        finally:
            run.kill()
    if run.returncode == 0:
        raise Failed("it was over before the signal came: more steps are needed")
    time.sleep(1.0)
    # A worker is in its orchestrator's session.
    alive = [pid for pid in filter(str.isdigit, os.listdir("/proc")) if session(pid) == run.pid]
    rig.train(path, store)
    return store, alive


def session(pid):
    """Of a process that runs."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        return int(fields[3]) if fields[0] != "Z" else None
    except OSError:
        return None


def compare(rig, report, name, stores, what):
    """Whether two stores of a sweep hold the same numbers."""
    (a, weights_a), (b, weights_b) = (rig.values(store, name) for store in stores)
    if a.keys() != b.keys():
        return report.check(False, f"{what}: {len(a)} values and {len(b)}, not of the same runs and steps")
    gap = max(abs(a[key] - b[key]) for key in a if key[2].endswith("_loss"))
    same = a == b and weights_a == weights_b
    told = "the same bit for bit, weights too" if same else f"losses differ by up to {gap:.2g} (bound: {LOSS_GAP} on a GPU)"
    report.check(same or (rig.cuda and gap <= LOSS_GAP), f"{what}: {told}")
