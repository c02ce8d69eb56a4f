#!/usr/bin/env python3
"""Every check that needs a GPU, in one command; its tables are docs/gpu.md. It takes Python's standard library, our programs,
and for what is measured beside ours the PyTorch of this Python.

    make gpu                                      # all parts, in under nine minutes
    make gpu PARTS="facts agree"                  # some
    make gpu DEVICE=cpu                           # the same code on the CPU, with small models, into target/gpu-cpu.md

What does not hold is told at the end, and the exit code is 1. Bounds and sizes stand in SCALES and above each part.
"""

import argparse
import concurrent.futures
import contextlib
import json
import math
import pathlib
import platform
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time

from attempts import compare, cut, straight
from rig import HERE, ROOT, Asker, Failed, Report, Rig, apart, smi, status

RGB, GREY = dict(channels=3, height=32, width=32, classes=10), dict(channels=1, height=28, width=28, classes=10)
LARGE = dict(channels=3, height=224, width=224, classes=1000)
VIT = lambda width, depth, heads, patch=4: ("vit", dict(width=width, depth=depth, heads=heads, patch=patch))
CONVNET = lambda width, *depths, **keys: ("convnet", dict(width=width, depths=list(depths), **keys))
RESNET_50 = CONVNET(64, 3, 4, 6, 3, block="bottleneck", stem="large")

# What differs where a GPU is: sizes alone.
SCALES = {
    "cuda": dict(
        agree=(64, 4, RGB, 32), attempts=dict(models=[VIT(32, 2, 2, 7), CONVNET(8, 1, 1)], steps=600, batch=64),
        rows=[1, 4, 16, 64], warmup=3, steps=10, rounds=3, batch=64,
        speed=[("small vit", *VIT(32, 2, 2), RGB), ("medium vit", *VIT(64, 4, 4), RGB), ("large vit", *VIT(192, 6, 3), RGB),
               ("small resnet", *CONVNET(8, 1, 1, 1), RGB), ("medium resnet", *CONVNET(16, 2, 2, 2, 2), RGB),
               ("large resnet", *CONVNET(32, 2, 2, 2, 2), RGB)],
        sweep=dict(model=VIT(64, 4, 4, 7), runs=64, steps=300, trials=32, at_once=16),
        large=[("ViT-B/16", "b16", VIT(768, 12, 12, 16), LARGE, 128), ("ResNet-50", "resnet-50", RESNET_50, LARGE, 128)],
        memory=[1, 16], pack=32, halved=VIT(192, 6, 3), halved_batch=64, pair=16),
    "cpu": dict(
        agree=(8, 1, dict(channels=3, height=8, width=8, classes=10), 8),
        attempts=dict(models=[VIT(16, 1, 2, 7), CONVNET(4, 1, 1, stem="large")], steps=100, batch=16),
        rows=[1, 4], warmup=1, steps=2, rounds=2, batch=16,
        speed=[("small vit", *VIT(16, 1, 2, 7), GREY), ("small resnet", *CONVNET(4, 1, 1), GREY)],
        sweep=dict(model=VIT(16, 1, 2, 7), runs=8, steps=40, trials=4, at_once=2),
        large=[("vit d64 L2", None, VIT(64, 2, 4), RGB, 8)],
        memory=[1, 4], pack=4, halved=VIT(64, 2, 4), halved_batch=256, pair=4),
}
# MiB of a GPU that are left to a pack that is to be halved.
ROOM = 3000
# Dense bf16 TFLOP/s of the makers' data sheets, by a part of the name that nvidia-smi gives.
PEAKS = {"H200": 989, "H100 PCIe": 756, "H100": 989, "B200": 2250, "A100": 312, "A10G": 70, "L40S": 362, "L4": 121}


def peak(rig):
    """TFLOP/s that a share is of, and whose word that is."""
    if rig.cuda:
        name = str(smi("name")[0])
        for part, tflops in PEAKS.items():
            if part in name:
                return tflops, f"{tflops} TFLOP/s, the data sheet's of {part}"
    if rig.torch is None:
        return None, "a peak that is unknown without PyTorch"
    tflops = json.loads(rig.run([sys.executable, HERE / "peers.py", "peak", "--device", rig.device]))
    return tflops, f"{tflops:.3g} TFLOP/s, a bf16 product of PyTorch's on {rig.device}"


def facts(rig, report, scale):
    """The device"""
    host = f"{rig.cores} cores, {platform.machine()}, Linux {platform.release()}"
    version = rig.crossover("--version").split()[-1]
    rows = [("crossover", f"{version}, {rig.programs.parent.name}/{rig.programs.name}"), ("host", host)]
    if rig.cuda:
        keys = ["name", "memory.total", "driver_version", "compute_cap"]
        rows += [(f"GPU, {key}", value) for key, value in zip(keys, smi(",".join(keys)))]
    else:
        models = [line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")]
        rows.append(("processor", models[0] if models else "unknown"))
    rows.append(("PyTorch of this Python", rig.torch[0] if rig.torch else "none"))
    rows.append(("peak in bf16", peak(rig)[1]))
    report.table(["what", "is"], rows)


def zoo(width, depth):
    """Every arch, and every part of one that is computed in a way of its own."""
    tokens = dict(width=width, depth=depth, heads=2)
    return [
        ("convnet, basic", "convnet", dict(width=width // 2, depths=[1, 1])),
        ("convnet, bottleneck", "convnet", dict(width=width // 4, depths=[1, 1], block="bottleneck")),
        ("convnet, plain, circular", "convnet", dict(width=width // 2, depths=[1, 1], block="plain", padding="circular")),
        ("convnet, convnext", "convnet", dict(width=width // 2, depths=[1, 1], block="convnext")),
        ("vit", "vit", tokens), ("vit, mean, sincos", "vit", dict(tokens, pool="mean", position="sincos")),
        ("vit, window", "vit", dict(tokens, window=1)), ("recurrent", "recurrent", tokens),
        ("moe, top 2", "moe", dict(tokens, every=1)), ("moe, soft", "moe", dict(tokens, every=1, router="soft")),
        ("mixer", "mixer", dict(width=width, depth=depth)), ("resmlp", "resmlp", dict(width=width, depth=depth)),
        ("perceiver", "perceiver", dict(width=width, latents=width // 2, heads=2)), ("mlp", "mlp", dict(width=width, depth=2)),
    ]


# Of 20 steps' losses and of logits: fp32 on the device to fp32 on the CPU, absolute; the others to fp32 on the device,
# losses as a share, logits by their norm.
BOUNDS = {"fp32": (1e-3, 1e-4), "tf32": (5e-3, 1e-2), "bf16": (2e-2, 4e-2)}


def agree(rig, report, scale):
    """The same weights and images on the CPU and on the device"""
    width, depth, io, batch = scale["agree"]
    # Without a GPU: the first of two models that are trained together, beside one alone.
    words, packed, far = (["fp32", "tf32", "bf16"], 1, {}) if rig.cuda else (["fp32", "bf16"], 2, {})
    rows, norm = [], lambda values: math.sqrt(sum(value * value for value in values))
    with rig.ours("cpu", rig.cores if rig.cuda else 1) as cpu, rig.ours() as device:
        for name, arch, keys in zoo(width, depth):
            question = dict(arch=arch, keys=keys, io=io, batch=batch, steps=20, logits=True)
            told = {word: device.ask(dict(question, precision=word, rows=packed)) for word in words}
            told["cpu"] = cpu.ask(question)
            if failed := [f"{word}: {answer['failure']}" for word, answer in told.items() if "failure" in answer]:
                raise Failed(f"{name}: {'; '.join(failed)}")
            losses = {word: [row[0] for row in answer["losses"]] for word, answer in told.items()}
            gaps = {"fp32": (apart(losses["fp32"], losses["cpu"]), apart(told["fp32"]["logits"], told["cpu"]["logits"]))}
            exact = told["fp32"]["logits"]
            for word in words[1:]:
                share = apart([ours / there for ours, there in zip(losses[word], losses["fp32"])], [1.0] * 20)
                gaps[word] = share, norm([a - b for a, b in zip(told[word]["logits"], exact)]) / norm(exact)
            rows.append([name, *(f"{gap:.1e}" for word in words for gap in gaps[word])])
            for word in words:
                if not all(gap <= bound for gap, bound in zip(gaps[word], BOUNDS[word])):
                    far.setdefault(word, []).append(name)
    report.table(["arch", *(f"{word} {what}" for word in words for what in ("losses", "logits"))], rows)
    for word in words:
        loss, logits = BOUNDS[word]
        beside = "those of fp32 on the CPU" if word == "fp32" else "fp32 on the device"
        names = f": not {', '.join(far[word])}" if word in far else ""
        text = f"{word}: losses of 20 steps within {loss:g} and logits within {logits:g} of {beside}{names}"
        report.check(word not in far, text)


def resume(rig, report, scale):
    """Stopped and gone on with"""
    first, again = straight(rig, scale["attempts"]), rig.folder / "again"
    rig.train(rig.folder / "attempts.toml", again)
    compare(rig, report, "attempts", [first, again], "a sweep done twice")
    stopped, alive = cut(rig, scale["attempts"], "stopped", signal.SIGINT)
    report.check(not alive, "after SIGINT no worker is left")
    compare(rig, report, "attempts", [first, stopped], "a sweep that SIGINT stopped, and that went on")


def kill(rig, report, scale):
    """Killed and gone on with"""
    killed, alive = cut(rig, scale["attempts"], "killed", signal.SIGKILL)
    report.check(not alive, "a second after SIGKILL of the orchestrator no worker is left")
    compare(rig, report, "attempts", [straight(rig, scale["attempts"]), killed], "a sweep that was killed, and that went on")


def timed(asker, question):
    """Milliseconds of a step, the median over rounds; or what there is instead of them."""
    told = asker.ask(question)
    if "failure" not in told:
        return 1e3 * statistics.median(told["seconds"])
    if "memory" in told["failure"]:
        return "out of memory"
    raise Failed(f"{question}: {told['failure']}")


def show(value, digits=2):
    return f"{value:.{digits}f}" if isinstance(value, float) else value or ""


def peers(rig):
    """PyTorch's side, where there is one."""
    return rig.theirs() if rig.torch else contextlib.nullcontext()


def speed(rig, report, scale):
    """A step, by models trained together"""
    times = {key: scale[key] for key in ["batch", "warmup", "steps", "rounds"]}
    graphs = {"PyTorch, eager": False, "PyTorch, graph": True} if rig.cuda else {"PyTorch, eager": False}
    graphs = graphs if rig.torch else {}
    rows = []
    with rig.ours() as ours, peers(rig) as theirs:
        for precision in ["fp32", "bf16"]:
            for name, arch, keys, io in scale["speed"]:
                question = dict(arch=arch, keys=keys, io=io, precision=precision, **times)
                here = {packed: timed(ours, dict(question, rows=packed)) for packed in scale["rows"]}
                there = [timed(theirs, dict(question, graph=graph)) for graph in graphs.values()]
                best = min((ms / packed for packed, ms in here.items() if isinstance(ms, float)), default=math.nan)
                ratios = [f"{ms / best:.1f}" if isinstance(ms, float) else "" for ms in there]
                rows.append([name, precision, *map(show, here.values()), f"{best:.3f}", *map(show, there), *ratios])
    report.write(f"Milliseconds of a step of R models of one shape, batch {scale['batch']} each; the best is of one model.\n")
    packs = [f"R = {packed}" for packed in scale["rows"]]
    report.table(["model", "precision", *packs, "best a model", *graphs, *(f"{name}, over ours" for name in graphs)], rows)
    if not rig.torch:
        report.skip("PyTorch's steps: this Python has no torch")


def sweep(rig, report, scale):
    """A sweep of small runs, and a process for each"""
    given = scale["sweep"]
    (arch, keys), runs, steps = given["model"], given["runs"], given["steps"]
    side = math.isqrt(runs)
    rates, seeds = [round(1e-4 * 1.5**n, 7) for n in range(side)], list(range(runs // side))
    axes, train = dict(examples=2000, seed=seeds, lr=rates), dict(batch=64, evals=1, warmup_steps=10)
    path = rig.sweep("many", [dict(arch=arch, **keys)], axes=axes, budget=dict(steps=steps), train=train)
    hours, rows = {}, []

    def add(name, count, taken):
        hours[name] = 3600 * count / taken
        rows.append([name, count, f"{taken:.1f}", f"{hours[name]:.0f}"])

    add("crossover", runs, rig.train(path, rig.folder / "many-1"))
    add("crossover, --pack 64", runs, rig.train(path, rig.folder / "many-2", "--pack", 64))
    bars = {"PyTorch, eager": 10, "PyTorch, CUDA graph": 3} if rig.cuda else {"PyTorch, eager": 10}
    for name in bars if rig.torch else []:
        add(name, given["trials"], alone(rig, given, rates, graph=name.endswith("graph")))
    report.write(f"A {arch} of {keys}, {steps} steps of 64 images; seconds from a system's start to its last result; of "
                 f"PyTorch {given['at_once']} processes at once.\n")
    report.table(["by", "runs", "seconds", "runs an hour"], rows)
    if not rig.torch:
        return report.skip("a process for each trial: this Python has no torch")
    best = max(hours["crossover"], hours["crossover, --pack 64"])
    for name, bar in bars.items():
        text = f"{best / hours[name]:.1f} times the runs an hour of {name} in a process each"
        report.check(best / hours[name] >= bar, f"{text} (bar: {bar})") if rig.cuda else report.write(f"- {text}")


def alone(rig, given, rates, graph):
    """Seconds of trials of PyTorch's, a process each."""
    arch, keys = given["model"]
    spec = dict(arch=arch, keys=keys, data=rig.data, examples=2000, validation=500, batch=64, steps=given["steps"],
                schedule="cosine", warmup=10, bf16=False, last=False, graph=graph, device=rig.device)

    def trial(number):
        of = dict(spec, seed=number, lr=rates[number % len(rates)])
        rig.run([sys.executable, HERE / "peers.py", "trial", json.dumps(of)])

    begun = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(given["at_once"]) as pool:
        list(pool.map(trial, range(given["trials"])))
    return time.monotonic() - begun


def large(rig, report, scale):
    """Published sizes in bf16"""
    tflops, whose = peak(rig)
    rows, share = [], {}
    with rig.ours() as ours, peers(rig) as theirs:
        for name, size, (arch, keys), io, batch in scale["large"]:
            question = dict(arch=arch, keys=keys, io=io, batch=batch, precision="bf16", warmup=3, steps=5, rounds=3)
            told = ours.ask(dict(question, size=size, keys={}) if size else question)
            if "failure" in told:
                raise Failed(f"{name}: {told['failure']}")
            here = statistics.median(told["seconds"])
            there = timed(theirs, dict(question, last=arch == "convnet")) if rig.torch else None
            done = 3 * told["forward_flops"] * batch / here / 1e12
            share[name] = done / tflops if tflops else math.nan
            mfu = f"{share[name]:.1%}" if tflops else ""
            rows.append([name, batch, f"{1e3 * here:.1f}", f"{done:.3g}", mfu, show(there, 1)])
    report.write(f"MFU is of {whose}; a step is three times the forward pass.\n")
    report.table(["model", "batch", "ours, ms", "TFLOP/s", "MFU", "PyTorch, ms"], rows)
    if rig.cuda:
        report.check(share["ViT-B/16"] >= 0.45, f"ViT-B/16 at {share['ViT-B/16']:.1%} of the peak (bar: 45%)")


def memory(rig, report, scale):
    """Memory"""
    name, arch, keys, io = scale["speed"][min(1, len(scale["speed"]) - 2)]
    rows = []
    for precision in ["fp32", "bf16"]:
        for packed in scale["memory"]:
            question = dict(arch=arch, keys=keys, io=io, batch=scale["batch"], precision=precision, steps=3)
            theirs = held(rig, rig.theirs, question) if rig.torch and packed == 1 else ""
            rows.append([name, precision, packed, held(rig, rig.ours, dict(question, rows=packed)), theirs])
    report.write("MiB that a process holds after three steps, what its libraries take included.\n")
    report.table(["model", "precision", "R", "ours", "PyTorch"], rows)


def held(rig, asker, question):
    before = rig.memory(None) if rig.cuda else 0
    with asker() as asker:
        told = asker.ask(question)
        if "failure" in told:
            raise Failed(f"{question}: {told['failure']}")
        return round(rig.memory(asker.process.pid) - before)


def halving(rig, report, scale):
    """Memory that runs out"""
    pack, (arch, keys) = scale["pack"], scale["halved"]
    axes, train = dict(examples=256, seed=list(range(pack))), dict(batch=scale["halved_batch"], evals=1)
    path = rig.sweep("halved", [dict(arch=arch, **keys)], axes=axes, budget=dict(examples=256), train=train)
    store, words = rig.folder / "halved", ["--pack", pack, "--retries", 3, "--slots", 1]
    with crowded(rig, arch, keys, train["batch"]) as given:
        rig.train(path, store, *words, **given)
    runs = json.loads(rig.crossover("list", "halved", "--store", store, "--json"))["runs"]
    most = max(run["attempts"] for run in runs)
    report.check(most > 1, f"a pack of {pack} that does not fit was halved until it did: {pack} runs done in {most} attempts")


@contextlib.contextmanager
def crowded(rig, arch, keys, batch):
    """Too little memory for a pack: another process holds all but a little of a GPU; on a CPU few addresses are allowed."""
    if rig.cuda:
        code = (f"import torch; free, _ = torch.cuda.mem_get_info('{rig.device}'); x = torch.empty(free - ({ROOM} << 20), "
                f"dtype=torch.uint8, device='{rig.device}'); print(0, flush=True); input()")
        with Asker(rig, [sys.executable, "-c", code]) as hog:
            hog.listen("to take memory")
            yield {}
        return
    sizes = []
    for rows in [1, 2]:
        with rig.ours() as asker:
            asker.ask(dict(arch=arch, keys=keys, io=GREY, batch=batch, rows=rows, steps=1))
            sizes.append(status(asker.process.pid, "VmPeak"))
    # Those of two models and a half.
    most = round(sizes[0] + 1.5 * (sizes[1] - sizes[0]))
    yield dict(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (most, most)))


def pair(rig, report, scale):
    """Two workers on one device"""
    arch, keys = scale["sweep"]["model"]
    axes, budget = dict(examples=2000, seed=list(range(scale["pair"]))), dict(steps=scale["sweep"]["steps"])
    path = rig.sweep("pair", [dict(arch=arch, **keys)], axes=axes, budget=budget, train=dict(batch=64, evals=1))
    stores = [rig.folder / f"pair-{slots}" for slots in [1, 2]]
    pack = scale["pair"] // 2
    taken = [rig.train(path, store, "--slots", slots, "--pack", pack) for slots, store in zip([1, 2], stores)]
    report.write(f"{scale['pair']} runs, two packs: {taken[0]:.1f} s by one worker, {taken[1]:.1f} s by two.\n")
    compare(rig, report, "pair", stores, "by one worker and by two")


PARTS = [facts, agree, resume, kill, speed, sweep, large, memory, halving, pair]


def head(rig):
    git = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=ROOT)
    commit = f", commit {git.stdout.strip()}" if git.returncode == 0 else ""
    cpu = "" if rig.cuda else "\nNo GPU was there: models and sweeps are small, times say little, and bars on speed are not asked for.\n"
    date = time.strftime("%-d %B %Y")
    return (f"# What holds on a GPU\n\nMade by `make gpu DEVICE={rig.device}` (benches/gpu.py) on {date}{commit}. How to run "
            f"it on another\nmachine: [CONTRIBUTING.md](../CONTRIBUTING.md#on-a-gpu).\n{cpu}")


def main():
    names = [part.__name__ for part in PARTS]
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(names)}; default: all")
    parser.add_argument("--device", default="cuda:0", help="cuda:N, or cpu")
    parser.add_argument("--output", type=pathlib.Path, help="default: docs/gpu.md; of a CPU or some parts target/gpu-DEVICE.md")
    parser.add_argument("--programs", type=pathlib.Path, help="default: target/gpu, target/dist or target/release")
    parser.add_argument("--minutes", type=float, default=8.7)
    args = parser.parse_args()
    if unknown := [part for part in args.parts if part not in names]:
        sys.exit(f"error: there is no part {', '.join(unknown)}: parts are {' '.join(names)}")
    wanted, cuda = args.parts or names, args.device.startswith("cuda")
    usual = "docs/gpu.md" if cuda and wanted == names else f"target/gpu-{args.device.replace(':', '')}.md"
    output = args.output or ROOT / usual
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        try:
            rig = Rig(args.device, args.programs, pathlib.Path(folder), args.minutes)
        except Failed as failure:
            sys.exit(f"error: {failure}")
        report = Report(output, head(rig))
        for part in PARTS:
            if part.__name__ in wanted:
                take(part, rig, report)
    for text in [*(f"skipped: {text}" for text in report.skipped), *(f"error: {text}" for text in report.failures)]:
        print(text, file=sys.stderr)
    print(f"gpu: {len(report.failures)} of what was checked does not hold; written to {output}", file=sys.stderr)
    sys.exit(1 if report.failures else 0)


def take(part, rig, report):
    """A part that cannot go on is one that does not hold, and the next one begins."""
    begun = time.monotonic()
    report.begin(part.__name__, part.__doc__)
    try:
        rig.left()
        part(rig, report, SCALES["cuda" if rig.cuda else "cpu"])
    except Exception as error:
        report.check(False, f"it ended: {error if isinstance(error, Failed) else repr(error)}")
    report.write(f"\n({part.__name__}: {time.monotonic() - begun:.0f} s)")


if __name__ == "__main__":
    main()
