"""What gpu.py measures with: our programs, PyTorch beside them, a deadline, and a report that is written after each part."""

import array
import contextlib
import csv
import io
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent


class Failed(Exception):
    """A part cannot go on: said in the report, and the next part begins."""


class Report:
    """Markdown, and what is to be told at the end."""

    def __init__(self, path, head):
        self.path, self.text, self.failures, self.skipped = path, [head], [], []
        self.part = "set-up"

    def begin(self, part, title):
        self.part = part
        self.write(f"\n## {title}\n")

    def write(self, *lines):
        for line in lines:
            self.text.append(line)
            print(line, flush=True)
        self.path.write_text("\n".join(self.text).replace("\n\n\n", "\n\n") + "\n")

    def table(self, header, rows):
        width = lambda cells: "| " + " | ".join(map(str, cells)) + " |"
        self.write(width(header), width(["---"] * len(header)), *map(width, rows), "")

    def check(self, good, text):
        if not good:
            self.failures.append(f"{self.part}: {text}")
        self.write(f"- {'holds' if good else '**does not hold**'}: {text}")

    def skip(self, text):
        self.skipped.append(f"{self.part}: {text}")
        self.write(f"- **skipped**: {text}")


class Asker:
    """A process that answers a line of JSON with another."""

    def __init__(self, rig, command, **env):
        self.rig, self.said = rig, tempfile.TemporaryFile("w+")
        streams = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.said, text=True)
        self.process = subprocess.Popen(command, env=rig.env | env, **streams)

    def ask(self, question):
        """The answer; one whose question failed has a `failure`."""
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(json.dumps(question) + "\n")
            self.process.stdin.flush()
        return self.listen(question)

    def listen(self, what):
        kill = threading.Timer(self.rig.left(), self.process.kill)
        kill.start()
        line = self.process.stdout.readline()
        kill.cancel()
        if not line:
            self.process.wait()
            self.said.seek(0)
            said = self.said.read()[-500:].strip()
            raise Failed(f"{' '.join(map(str, self.process.args))} ended at {what} ({self.process.returncode}): {said}")
        return json.loads(line)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(10)
        self.process.kill()
        self.process.wait()
        self.said.close()


class Rig:
    def __init__(self, device, programs, folder, minutes):
        self.device, self.cuda, self.folder = device, device.startswith("cuda"), folder
        self.deadline = time.monotonic() + 60 * minutes
        self.programs = newest([programs] if programs else [ROOT / "target" / name for name in ["gpu", "dist", "release"]])
        self.env = dict(os.environ, CROSSOVER_CACHE=str(folder / "cache"), NO_COLOR="1", CROSSOVER_CHECKPOINT_SECONDS="0.1")
        self.env.pop("CROSSOVER_STORE", None)
        self.torch = self.python("import json, os, torch; print(json.dumps([torch.__version__, "
                                 "os.path.dirname(torch.__file__), torch.cuda.is_available()]))")
        if self.cuda and (self.torch is None or not self.torch[2]):
            raise Failed(f"{device}: this Python's torch is {self.torch}: no PyTorch that sees a GPU; DEVICE=cpu goes without")
        if not self.env.get("LIBTORCH"):
            self.env["LIBTORCH"] = self.torch[1] if self.cuda else str(ROOT / ".libtorch")
        self.cores = len(os.sched_getaffinity(0))

    def left(self):
        """Seconds; none are left where a part is to begin."""
        left = self.deadline - time.monotonic()
        if left < 1:
            raise Failed("out of time: the parts before took it")
        return left

    def python(self, code):
        """What a line of Python prints in JSON; none where it fails, as without PyTorch."""
        done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        return json.loads(done.stdout) if done.returncode == 0 else None

    def run(self, command, **given):
        """Its stdout; it has to succeed."""
        try:
            given = dict(given, capture_output=True, text=True, env=self.env, cwd=self.folder, timeout=self.left())
            done = subprocess.run(command, **given)
        except subprocess.TimeoutExpired:
            raise Failed(f"out of time: {' '.join(map(str, command))}") from None
        if done.returncode != 0:
            raise Failed(f"{' '.join(map(str, command))} ended with {done.returncode}: {done.stderr[-600:].strip()}")
        return done.stdout

    def crossover(self, *words, **given):
        return self.run([self.programs / "crossover", *map(str, words)], **given)

    def command(self, sweep, store, *words):
        """`crossover run` on the device."""
        words = ["--store", store, "--devices", self.device, "--json", *map(str, words)]
        return [self.programs / "crossover", "run", sweep, *words]

    def train(self, sweep, store, *words, **given):
        """Runs a sweep to its end; seconds."""
        begun = time.monotonic()
        told = json.loads(self.run(self.command(sweep, store, *words), **given))
        if told["done"] != told["runs"]:
            raise Failed(f"{told['done']} of {told['runs']} runs of {sweep} were done")
        return time.monotonic() - begun

    def ours(self, device=None, threads=1):
        words = ["steps", "--device", device or self.device, "--threads", str(threads)]
        # Of the worker alone: PyTorch beside it has its own.
        libraries = ":".join(filter(None, [self.env.get("LD_LIBRARY_PATH"), self.env["LIBTORCH"] + "/lib"]))
        return Asker(self, [self.programs / "crossover-worker", *words], LD_LIBRARY_PATH=libraries)

    def theirs(self):
        return Asker(self, [sys.executable, HERE / "peers.py", "steps", "--device", self.device])

    def values(self, store, name):
        """Of each run, step and metric; and the bytes of each run's weights."""
        table = self.crossover("export", name, "--store", store, "--format", "csv", "--no-times")
        table = csv.DictReader(io.StringIO(table))
        values = {(row["run"], row["step"], row["metric"]): float(row["value"]) for row in table}
        weights = {run: (pathlib.Path(store) / run / "weights.safetensors").read_bytes() for run, _, _ in values}
        return values, weights

    def memory(self, pid):
        """MiB: on a GPU what all processes hold, else the most that this one held."""
        if self.cuda:
            return smi("memory.used")[0]
        return status(pid, "VmHWM") >> 20

    def sweep(self, name, models, **keys):
        """A sweep file on the images of `images`."""
        text = lambda value: json.dumps(value).replace("null", '"none"')
        lines = [f"name = {text(name)}", f"task = {{ name = \"idx\", {self.images()} }}"]
        for table in ["axes", "budget", "train"]:
            lines += [f"[{table}]", *(f"{key} = {text(value)}" for key, value in keys.get(table, {}).items())]
        for model in models:
            lines += ["[[model]]", *(f"{key} = {text(value)}" for key, value in model.items())]
        path = self.folder / f"{name}.toml"
        path.write_text("\n".join(lines) + "\n")
        return path

    def images(self):
        """Keys of a set of 28x28 images in ten classes, made once: a pattern of each class below noise."""
        self.data = [str(self.folder / name) for name in ["train-images", "train-labels", "test-images", "test-labels"]]
        keys = zip(["images", "labels", "test_images", "test_labels"], self.data)
        if not os.path.exists(self.data[0]):
            draw = random.Random(0)
            mask = int.from_bytes(bytes([0x7F]) * 784, "big")
            patterns = [int.from_bytes(bytes(draw.choice([0, 0, 0, 64]) for _ in range(784)), "big") for _ in range(10)]
            for images, labels, count in [(*self.data[:2], 4500), (*self.data[2:], 500)]:
                classes = [draw.randrange(10) for _ in range(count)]
                pixels = [((draw.getrandbits(784 * 8) & mask) + patterns[label]).to_bytes(784, "big") for label in classes]
                idx(images, [count, 28, 28], b"".join(pixels))
                idx(labels, [count], bytes(classes))
        return ", ".join(f"{key} = {json.dumps(path)}" for key, path in keys) + ", validation = 500"


def newest(folders):
    """The folder of the programs that were built last."""
    there = [folder.absolute() for folder in folders if (folder / "crossover-worker").exists()]
    if not there:
        raise Failed(f"no programs are in {', '.join(map(str, folders))}: 'make build' or 'make gpu-pack' makes them")
    return max(there, key=lambda folder: (folder / "crossover-worker").stat().st_mtime)


def idx(path, sizes, values):
    """MNIST's format, of bytes."""
    sizes = array.array("I", sizes)
    sizes.byteswap()
    pathlib.Path(path).write_bytes(bytes([0, 0, 8, len(sizes)]) + sizes.tobytes() + values)


def status(pid, key):
    """Bytes, from /proc."""
    line = next(line for line in open(f"/proc/{pid}/status") if line.startswith(key + ":"))
    return int(line.split()[1]) << 10


def smi(query):
    """What nvidia-smi says of the first GPU, numbers where they are."""
    if shutil.which("nvidia-smi") is None:
        raise Failed("nvidia-smi is not here")
    command = ["nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader,nounits"]
    said = subprocess.run(command, capture_output=True, text=True)
    cells = [cell.strip() for cell in said.stdout.splitlines()[0].split(",")] if said.stdout else []
    return [float(cell) if cell.replace(".", "", 1).isdigit() else cell for cell in cells]


def apart(a, b):
    """The largest gap of numbers that are both there; infinite where one is not finite."""
    gaps = [abs(x - y) for x, y in zip(a, b, strict=True)]
    return max(gaps) if all(gap == gap for gap in gaps) else float("inf")
