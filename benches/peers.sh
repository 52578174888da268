#!/usr/bin/env bash
# Decode and prefill of a model here and in the programs that one would use instead, in turns, so that a machine whose speed
# changes changes it for all: the median of five rounds each, with the spread, and ours over theirs.
#
#   benches/peers.sh MODEL [--policy FILE] [--fast] [--gguf FILE] [--only PEER] [--threads N] [--prompt N] [--new N] [--rounds N]
#
# Runs target/release/rankscope (RANKSCOPE names another one) and, where PYTHON (python3) has them, transformers in f32 and
# bf16, and llama.cpp on FILE; --only transformers or llama.cpp leaves the other out.
set -euo pipefail
cd "$(dirname "$0")/.."
exec "${PYTHON:-python3}" - "$@" <<'PYTHON'
import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys

parser = argparse.ArgumentParser(prog="benches/peers.sh")
parser.add_argument("model")
parser.add_argument("--policy")
parser.add_argument("--fast", action="store_true")
parser.add_argument("--gguf")
parser.add_argument("--only", choices=["transformers", "llama.cpp"])
for name, value in {"threads": os.cpu_count(), "prompt": 256, "new": 24, "rounds": 5}.items():
    parser.add_argument(f"--{name}", type=int, default=value)
asked = parser.parse_args()
sizes = [str(asked.threads), str(asked.prompt), str(asked.new)]


class Ours:
    def __init__(self, name, *options):
        self.name = name
        binary = os.environ.get("RANKSCOPE", "target/release/rankscope")
        self.command = [binary, "bench", asked.model, "--json", "--runs", "1", "--threads", sizes[0]]
        self.command += ["--prompt-tokens", sizes[1], "--max-tokens", sizes[2], *options]
        self.bandwidths = []

    def round(self):
        report = json.loads(subprocess.run(self.command, check=True, capture_output=True, text=True).stdout)
        self.bandwidths.append(report["bandwidth_bytes_per_s"])
        timing = report.get("compressed") or report["original"]
        self.bytes = timing["bytes_per_token"]
        return {"prefill": timing["prefill_tokens_per_s"], "decode": timing["decode_tokens_per_s"]}


class Peer:
    def __init__(self, name, kind, path, dtype):
        self.name = name
        command = [sys.executable, "benches/peers.py", kind, path, dtype, *sizes]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        if self.process.stdout.readline().strip() != "ready":
            sys.exit(f"{name} did not start")

    def round(self):
        self.process.stdin.write("go\n")
        return json.loads(self.process.stdout.readline())


def there(module):
    return importlib.util.find_spec(module) is not None


ours = Ours("rankscope, as stored")
runs = [ours]
if asked.policy or asked.fast:
    name = ", ".join(["rankscope", *filter(None, [asked.policy, "fast" if asked.fast else None])])
    runs.append(Ours(name, *(["--policy", asked.policy] if asked.policy else []), *(["--fast"] if asked.fast else [])))
if asked.only != "llama.cpp" and there("transformers") and there("torch"):
    runs += [Peer(f"transformers {dtype}", "transformers", asked.model, dtype) for dtype in ("f32", "bf16")]
if asked.only != "transformers" and asked.gguf and there("llama_cpp"):
    runs.append(Peer("llama.cpp " + os.path.basename(asked.gguf), "llama.cpp", asked.gguf, "-"))
found = [[] for _ in runs]
for _ in range(asked.rounds):
    for run, rounds in zip(runs, found):
        rounds.append(run.round())

print(f"{asked.threads} threads, prompt of {asked.prompt}, {asked.new} new, {asked.rounds} rounds; tokens a second, median (least..most)\n")
print("| | prefill | decode | " + " | ".join(run.name + " / this" for run in runs if isinstance(run, Ours)) + " |")
print("|---|---|---|" + "---|" * sum(isinstance(run, Ours) for run in runs))


def median(rounds, what):
    return statistics.median(round[what] for round in rounds)


for run, rounds in zip(runs, found):
    cells = []
    for what in ("prefill", "decode"):
        speeds = [round[what] for round in rounds]
        cells.append(f"{statistics.median(speeds):.1f} ({min(speeds):.1f}..{max(speeds):.1f})")
    for own, mine in zip(runs, found):
        if isinstance(own, Ours):
            cells.append(" / ".join(f"{median(mine, what) / median(rounds, what):.2f}" for what in ("prefill", "decode")))
    print(f"| {run.name} | " + " | ".join(cells) + " |")
for run, rounds in zip(runs, found):
    if isinstance(run, Ours):
        bandwidth = max(run.bandwidths)
        share = run.bytes * median(rounds, "decode") / bandwidth
        print(f"\n{run.name}: {run.bytes / 1e6:.1f} MB a token, {share:.0%} of {bandwidth / 1e9:.1f} GB/s, the largest read bandwidth of the rounds")
PYTHON
