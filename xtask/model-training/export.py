"""Write trained weights as a Hugging Face folder, and the held-out questions beside them.

Why F16: half the size in the repository; evaluate.py measures these rounded weights, not the ones
training ended with.

Run:  python export.py runs/a/best.pt --to ../demo-model --runs runs/a/best.json
"""

import argparse
import collections
import hashlib
import json
import os

import torch
from safetensors.torch import save_file

import corpus
import model as llama
import vocabulary

HELD_OUT_SEED = 20270
PER_KIND = 50
SUMMED = ("config.json", "generation_config.json", "heldout.json", "model.safetensors", "tokenizer.json",
          "tokenizer_config.json", "training.json")


def write_json(folder, name, value, indent=2):
    with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
        json.dump(value, file, indent=indent, ensure_ascii=False)
        file.write("\n")


def write_held_out(folder, without):
    """One case in each line; kinds in `without` were not learned well enough and are not claimed."""
    cases = corpus.held_out_cases(HELD_OUT_SEED, PER_KIND, [kind for kind in corpus.KINDS if kind not in without])
    with open(os.path.join(folder, "heldout.json"), "w", encoding="utf-8") as file:
        file.write("[\n" + ",\n".join(json.dumps(case, ensure_ascii=False) for case in cases) + "\n]\n")
    return collections.Counter(case["kind"] for case in cases)


def write_sums(folder):
    with open(os.path.join(folder, "SHA256SUMS"), "w", encoding="utf-8") as file:
        for name in SUMMED:
            with open(os.path.join(folder, name), "rb") as source:
                file.write(f"{hashlib.sha256(source.read()).hexdigest()}  {name}\n")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("states", nargs="+")
    parser.add_argument("--mix", nargs="*", type=float, default=[1.0], help="the share of each state in a weighted mean")
    parser.add_argument("--to", required=True)
    parser.add_argument("--runs", nargs="*", default=[], help="the run.json of every run that led to the state, in order")
    parser.add_argument("--without", nargs="*", default=[])
    options = parser.parse_args()

    assert len(options.mix) == len(options.states) and abs(sum(options.mix) - 1.0) < 1e-6
    loaded = [torch.load(path, weights_only=True) for path in options.states]
    state = {name: sum(share * one[name] for share, one in zip(options.mix, loaded)) for name in loaded[0]}
    layers = 1 + max(int(name.split(".")[2]) for name in state if name.startswith("model.layers."))
    tensors = {name: tensor.to(torch.float16).contiguous() for name, tensor in state.items()}
    save_file(tensors, os.path.join(options.to, "model.safetensors"), metadata={"format": "pt"})
    os.chmod(os.path.join(options.to, "model.safetensors"), 0o644)
    write_json(options.to, "config.json", llama.Shape(layers=layers).config())
    write_json(options.to, "generation_config.json", {
        "bos_token_id": vocabulary.BOS, "eos_token_id": vocabulary.END, "pad_token_id": vocabulary.PAD,
        "do_sample": False, "max_new_tokens": 64})
    runs = []
    for path in options.runs:
        with open(path, encoding="utf-8") as file:
            run = json.load(file)
        run["options"] = {key: value for key, value in run["options"].items()
                          if key not in ("out", "vocabulary", "resume")}  # places on one machine
        runs.append(run)
    write_json(options.to, "training.json", {
        "parameters": sum(tensor.numel() for tensor in tensors.values()),
        "tokens": sum(run["tokens"] for run in runs),
        "mix": options.mix,
        "runs": runs,
    })
    print(write_held_out(options.to, options.without))
    write_sums(options.to)


if __name__ == "__main__":
    main()
