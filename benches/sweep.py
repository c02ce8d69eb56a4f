#!/usr/bin/env python3
"""One sweep by crossover, by Python's multiprocessing with PyTorch, and by Ray Tune with PyTorch, in turns in one run.

    python=$(scripts/pytorch.sh --with-ray) && $python benches/sweep.py --ours target/release --rounds 3
    python benches/sweep.py --ours target/release --precision bf16 --systems ours multiprocessing

48 runs on Fashion-MNIST: a ViT, a convnet and an MLP of a size, two learning rates, two seeds, four budgets that double; each is
measured once, at its end, on 2,000 validation and 10,000 test images. Two at a time, one thread each. The time is a system's
whole one, from its start to the last result. PyTorch's trials are benches/peers.py: fused AdamW, images in memory, longest
first, each model by whichever of channels first or last is faster here. With "fp32" nobody shares anything: crossover has
--no-trunks. With "bf16" each has what a user would turn on: crossover bf16 and trunks, PyTorch autocast where it is faster.
"""

import argparse
import functools
import json
import multiprocessing
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
IO = dict(channels=1, height=28, width=28, classes=10)
# Models, budgets in steps, and the batch. Small are those of sweeps/quickstart.toml.
SIZES = {
    "small": ([("vit", dict(patch=7, width=32, depth=1, heads=2, pool="mean")),
               ("convnet", dict(width=8, depths=[1, 1, 1], stem="large")), ("mlp", dict(width=128, depth=2))],
              [400, 200, 100, 50], 32),
    "medium": ([("vit", dict(patch=7, width=64, depth=4, heads=4)), ("convnet", dict(width=8, depths=[1, 1, 1])),
                ("mlp", dict(width=256, depth=3))],
               [200, 100, 50, 25], 64),
}
RATES, SEEDS, EXAMPLES, VALIDATION, SLOTS = [1e-3, 3e-3], [0, 1], 1500, 2000, 2


def toml(precision, size):
    """The sweep as crossover reads it."""
    models, budgets, batch = SIZES[size]
    models = ["[[model]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in dict(arch=arch, **keys).items())
              for arch, keys in models]
    return f"""name = "sweep"
task = {{ name = "fashion-mnist", validation = {VALIDATION} }}
[axes]
examples = {EXAMPLES}
seed = {SEEDS}
lr = {RATES}
[budget]
steps = {sorted(budgets)}
[train]
batch = {batch}
schedule = "wsd"
warmup_steps = 20
evals = 1
precision = "{precision}"
""" + "\n".join(models)


def by_crossover(folder, precision, size, programs):
    sweep = pathlib.Path(folder, "sweep.toml")
    sweep.write_text(toml(precision, size))
    trunks = [] if precision == "bf16" else ["--no-trunks"]
    command = [programs / "crossover", "run", sweep, "--store", f"{folder}/runs", "--devices", "cpu", "--slots", str(SLOTS),
               "--json", *trunks]
    told = subprocess.run(command, capture_output=True)
    done = json.loads(told.stdout).get("done")
    if done != count(size):
        sys.exit(f"error: crossover did {done} of {count(size)} runs: {told.stderr.decode()[-500:]}")


def count(size):
    models, budgets, _ = SIZES[size]
    return len(models) * len(budgets) * len(RATES) * len(SEEDS)


def data():
    cache = os.environ.get("CROSSOVER_CACHE") or os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache")) + "/crossover"
    names = ["train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"]
    return [f"{cache}/data/fashion-mnist/{name}-ubyte.gz" for name in names]


def trials(size, variants):
    """The same runs as PyTorch's side trains them, longest first."""
    models, budgets, batch = SIZES[size]
    return [dict(arch=arch, keys=keys, data=data(), examples=EXAMPLES, validation=VALIDATION, batch=batch, steps=steps, lr=lr,
                 seed=seed, schedule="wsd", warmup=20, **variants[arch])
            for steps in budgets for arch, keys in models for lr in RATES for seed in SEEDS]


def train(spec):
    """In a process of the pool or of Ray's."""
    sys.path.insert(0, str(HERE))
    import torch

    import peers

    torch.set_num_threads(1)
    return peers.trial(spec)["test_loss"]


def by_multiprocessing(specs):
    with multiprocessing.get_context("spawn").Pool(SLOTS) as pool:
        return list(pool.imap(train, specs, chunksize=1))


def by_ray(specs):
    import ray
    from ray import tune

    ray.init(num_cpus=SLOTS, include_dashboard=False, log_to_driver=False, logging_level="error")
    with tempfile.TemporaryDirectory() as folder:
        tuner = tune.Tuner(
            tune.with_resources(lambda config: {"test_loss": train(config["spec"])}, {"cpu": 1}),
            param_space={"spec": tune.grid_search(specs)},
            tune_config=tune.TuneConfig(reuse_actors=True),
            run_config=tune.RunConfig(storage_path=folder, verbose=0),
        )
        results = tuner.fit()
    if results.num_errors:
        sys.exit(f"error: {results.num_errors} of Ray's trials failed: {results.errors[0]}")
    losses = [result.metrics["test_loss"] for result in results]
    ray.shutdown()
    return losses


@functools.cache
def variants(precision, size):
    """Of each model, what is fastest here: channels first or last, autocast or not."""
    sys.path.insert(0, str(HERE))
    import torch

    import peers

    torch.set_num_threads(1)
    models, _, batch = SIZES[size]
    chosen = {}
    for arch, keys in models:
        def seconds(variant):
            model, images = peers.build(arch, keys, IO), torch.randn(batch, 1, 28, 28)
            step = peers.Step(model, images, torch.randint(10, (batch,)), **variant)
            taken = []
            for _ in range(20):
                begun = time.thread_time()
                step()
                taken.append(time.thread_time() - begun)
            return statistics.median(taken)

        casts, layouts = [False, True] if precision == "bf16" else [False], [False, True] if arch == "convnet" else [False]
        chosen[arch] = min((dict(bf16=cast, last=last) for cast in casts for last in layouts), key=seconds)
    return chosen


SYSTEMS = {"ours": None, "multiprocessing": by_multiprocessing, "ray": by_ray}


def seconds(system, precision, size, programs):
    """Of a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        given = json.dumps(trials(size, variants(precision, size))) if system != "ours" else ""
        begun = time.monotonic()
        if system == "ours":
            by_crossover(folder, precision, size, programs)
        else:
            told = subprocess.run([sys.executable, __file__, "--system", system, given], stdout=subprocess.PIPE, check=True)
            if (got := len(json.loads(told.stdout.splitlines()[-1]))) != count(size):
                sys.exit(f"error: {system} has {got} of {count(size)} results")
        return time.monotonic() - begun


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--ours", type=pathlib.Path, default=HERE.parent / "target/release", help="folder of our programs")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--precision", choices=["fp32", "bf16"], nargs="+", default=["fp32", "bf16"])
    parser.add_argument("--systems", choices=SYSTEMS, nargs="+", default=list(SYSTEMS))
    parser.add_argument("--system", nargs=2, metavar=("SYSTEM", "TRIALS"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.system:
        system, given = args.system
        print(json.dumps(SYSTEMS[system](json.loads(given))))
        return
    for precision in args.precision:
        if set(args.systems) != {"ours"}:
            print(f"{precision}: PyTorch's variants: {variants(precision, args.size)}", flush=True)
        taken = {system: [] for system in args.systems}
        for number in range(args.rounds):
            for system in args.systems:
                taken[system].append(seconds(system, precision, args.size, args.ours))
                print(f"round {number + 1}: {system} {taken[system][-1]:.1f} s", flush=True)
        print(f"\n| {args.size}, {precision}, {count(args.size)} runs | seconds | ours / theirs | lowest to highest |")
        print("| --- | --- | --- | --- |")
        for system, times in taken.items():
            ratios = [ours / there for ours, there in zip(taken.get("ours", times), times)]
            print(f"| {system} | {statistics.median(times):.1f} | {statistics.median(ratios):.2f} "
                  f"| {min(ratios):.2f} to {max(ratios):.2f} |")
        print(flush=True)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
