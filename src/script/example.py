"""A small convnet on Fashion-MNIST that crossover can train: what it reads is `run`, what it says goes by `say`."""
import functools, gzip, json, math, os, signal, sys, time
import torch
from torch import nn
from torch.nn.functional import cross_entropy

run = json.load(open(os.environ["CROSSOVER_RUN"]))
describing = "CROSSOVER_DESCRIBE" in os.environ
train, steps, batch, examples = run["train"], run["steps"], run["train"]["batch"], run["examples"]
HELD_OUT, EVERY, CHECKPOINT = 5000, 30.0, "checkpoint.pt"  # examples, seconds, a file in the run's folder
def say(event, **fields):
    line = json.dumps({"event": event, **fields})
    if describing:
        return print(line)
    with open(run["events"], "a") as file:
        file.write(line + "\n")
        file.flush()
        event == "progress" or os.fsync(file.fileno())  # on the disk before the checkpoint that stands on it

def read(name, head):
    with gzip.open(os.path.join(run["data"], "fashion-mnist", name + "-ubyte.gz")) as file:
        return torch.frombuffer(bytearray(file.read()[head:]), dtype=torch.uint8)

def split(name):
    images = read(name + "-images-idx3", 16).view(-1, 1, 28, 28).float() / 255 - 0.286
    return images.to(device), read(name + "-labels-idx1", 8).long().to(device)

@functools.lru_cache(2)
def order(epoch):  # of the seed and the epoch alone: there is no generator to save
    return torch.randperm(examples, generator=torch.Generator().manual_seed(run["seed"] * 10**9 + epoch)).tolist()

def update(images, labels, step):
    warm = min(1, (step + 1) / max(1, train["warmup"]))
    optimizer.param_groups[0]["lr"] = train["lr"] * warm * (0.5 + 0.5 * math.cos(math.pi * step / steps))
    loss = cross_entropy(model(images), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()

@torch.no_grad()
def measure(images, labels):
    parts = zip(images.split(1000), labels.split(1000))
    return sum(cross_entropy(model(x), y, reduction="sum").item() for x, y in parts) / len(labels)

def save():
    torch.save([step, model.state_dict(), optimizer.state_dict()], CHECKPOINT + ".partial")
    os.replace(CHECKPOINT + ".partial", CHECKPOINT)
    say("checkpoint", step=step)

torch.manual_seed(run["seed"]), torch.set_num_threads(run["threads"])
device, width = "cuda" if torch.cuda.is_available() else "cpu", run["config"].get("width", 16)
conv = lambda inputs, outputs: nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride=2, padding=1), nn.ReLU())
layers = conv(1, width), conv(width, 2 * width), conv(2 * width, 4 * width), nn.Flatten(), nn.Linear(64 * width, 10)
model = nn.Sequential(*layers).to(device)
optimizer = torch.optim.AdamW(model.parameters(), betas=(train["beta1"], train["beta2"]), weight_decay=train["weight_decay"])
if describing:
    flops = 2 * (14**2 * 9 * width + 7**2 * 18 * width**2 + 4**2 * 72 * width**2 + 640 * width)
    images, labels = torch.zeros(batch, 1, 28, 28).to(device), torch.zeros(batch).long().to(device)
    start, _ = [(time.time(), update(images, labels, 0)) for _ in range(3)][-1]  # the third step is timed
    say("hello", protocol=1, params=sum(p.numel() for p in model.parameters()), forward_flops=flops,
        examples=60000 - HELD_OUT, examples_per_second=batch / (time.time() - start))
    sys.exit()
stop, step, saved, (images, labels), test = [], 0, time.time(), split("train"), split("t10k")
signal.signal(signal.SIGTERM, lambda *_: stop.append(True))
if os.path.exists(CHECKPOINT):
    step, weights, moments = torch.load(CHECKPOINT, map_location=device)
    model.load_state_dict(weights), optimizer.load_state_dict(moments)
say("hello", protocol=1, step=step)
while step < steps and not stop:
    chosen = [order(i // examples)[i % examples] for i in range(step * batch, (step + 1) * batch)]
    loss, step = update(images[chosen], labels[chosen], step), step + 1
    say("progress", step=step, loss=loss)
    if step in run["evaluations"]:
        values = {"train_loss": loss, "val_loss": measure(images[-HELD_OUT:], labels[-HELD_OUT:])}
        say("metrics", step=step, values=values | ({"test_loss": measure(*test)} if step == steps else {}))
    if stop or time.time() - saved > EVERY:
        saved = save() or time.time()
say("end", outcome="done" if step == steps else "stopped")
