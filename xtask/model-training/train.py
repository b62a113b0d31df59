"""Train the demo model on the generator's text; keep the best weights all the time.

Why whole conversations and not packed windows: at inference every conversation starts at position
0 with nothing before it, so it does in training. Conversations of similar length share a batch.

Run:  python train.py --out runs/a --tokens 12000000        (see README.md)
"""

import argparse
import json
import os
import random
import time

import torch
from torch.nn import functional

import corpus
import model as llama
import vocabulary


def batches(tokenizer, run, size, longest):
    """Endless batches of about `size` tokens: ids and, for each of them, whose text it is.

    Counts the conversations in `run`, from which evaluate.py makes the same text again.
    """
    stream = corpus.documents(run["stream_seed"], run["weights"], run["people"])
    rng = random.Random(run["stream_seed"] + 1)
    while True:
        texts = [vocabulary.text_of(next(stream)) for _ in range(2048)]
        run["conversations"] += len(texts)
        rows = [encoding.ids for encoding in tokenizer.encode_batch(texts)]
        rows = sorted((ids for ids in rows if len(ids) <= longest), key=len)
        groups, group = [], []
        for ids in rows:
            if group and (len(group) + 1) * len(ids) > size:
                groups.append(group)
                group = []
            group.append(ids)
        groups.append(group)
        rng.shuffle(groups)
        for group in groups:
            yield padded(group)


def padded(rows):
    width = max(len(ids) for ids in rows)
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    kind = torch.zeros(len(rows), width)
    for index, row in enumerate(rows):
        ids[index, : len(row)] = torch.tensor(row)
        kind[index, : len(row)] = torch.tensor(vocabulary.answer_mask(row)).float() + 1  # 1 user, 2 answer
    return ids, kind


def losses(net, ids, kind, user_weight):
    hidden = net(ids[:, :-1])
    kind, target = kind[:, 1:], ids[:, 1:]
    weight = (kind == 2).float() + user_weight * (kind == 1).float()
    used = weight > 0
    scores = net.logits(hidden[used])
    each = functional.cross_entropy(scores, target[used], reduction="none")
    weight = weight[used]
    answer = weight == 1.0
    return (each * weight).sum() / weight.sum(), each[answer].mean().detach()


@torch.no_grad()
def exact_match(net, tokenizer, cases):
    """Share of right answers for each kind.

    Greedy decoding gives exactly the wanted answer if and only if, fed with the wanted answer, the
    model's best guess is right at each of its positions; so one pass does.
    """
    prepared = []
    for case in cases:
        prompt = vocabulary.text_of(case["messages"], generation_prompt=True)
        ids = tokenizer.encode(prompt).ids
        answer = tokenizer.encode(case["answer"]).ids + [vocabulary.END]
        prepared.append((ids + answer, len(ids), case["kind"]))
    prepared.sort(key=lambda item: len(item[0]))
    right = {}
    for start in range(0, len(prepared), 48):
        part = prepared[start:start + 48]
        ids, _ = padded([item[0] for item in part])
        best = net.logits(net(ids)).argmax(-1)
        for row, (sequence, begin, kind) in enumerate(part):
            good = best[row, begin - 1:len(sequence) - 1].tolist() == sequence[begin:]
            right.setdefault(kind, []).append(good)
    return {kind: sum(values) / len(values) for kind, values in sorted(right.items())}


def rate_at(progress, start):
    """Warm-up, flat, then linear to 2 % of the top rate."""
    if progress < start:
        return progress / start
    return 1.0 if progress < 0.4 else 1.0 - 0.98 * (progress - 0.4) / 0.6


def reweighted(weights, scores):
    """More of the kinds that are not learned yet, for continued training."""
    weights = {kind: (0.6 * share + 1) * (1.0 + 6.0 * max(0.0, 0.98 - scores[kind])) for kind, share in weights.items()}
    return {kind: round(share, 1) for kind, share in weights.items()}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", required=True)
    parser.add_argument("--vocabulary", default=os.path.join(os.path.dirname(__file__), "..", "demo-model"))
    parser.add_argument("--tokens", type=int, default=12_000_000)
    parser.add_argument("--seconds", type=float, default=1e9, help="end the schedule by this time at the latest")
    parser.add_argument("--batch", type=int, default=3072)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--matrix-rate", type=float, default=0.02)
    parser.add_argument("--other-rate", type=float, default=3e-3)
    parser.add_argument("--user-weight", type=float, default=0.1)
    parser.add_argument("--resume", help="a state.pt to go on from")
    parser.add_argument("--weak", action="store_true", help="ask more of the kinds with low scores")
    parser.add_argument("--without", nargs="*", default=[], help="kinds to leave out")
    parser.add_argument("--share", nargs="*", default=[], help="kind=share, over what is computed")
    parser.add_argument("--people", type=int, default=3, help="at most so many in a story")
    parser.add_argument("--float32", action="store_true", help="no bfloat16 products")
    parser.add_argument("--every", type=int, default=300, help="steps between two evaluations")
    options = parser.parse_args()

    torch.manual_seed(options.seed)
    tokenizer = vocabulary.load(options.vocabulary)
    shape = llama.Shape(layers=options.layers)
    net = llama.Llama(shape, options.seed)
    if options.resume:
        net.load_state_dict(torch.load(options.resume, weights_only=True))
    matrices = [p for name, p in net.named_parameters() if p.dim() == 2 and "embed" not in name]
    others = [p for name, p in net.named_parameters() if p.dim() != 2 or "embed" in name]
    muon = llama.Muon(matrices)
    adam = torch.optim.AdamW(others, lr=options.other_rate, betas=(0.9, 0.98), weight_decay=0.0)
    kinds = [kind for kind in corpus.KINDS if kind not in options.without]
    cases = corpus.held_out_cases(4242, 24, kinds)  # not the committed held-out set: that has another seed
    os.makedirs(options.out, exist_ok=True)
    print(f"{sum(p.numel() for p in net.parameters())} parameters, {vars(options)}", flush=True)

    weights = {kind: max(share, 1) for kind, share in corpus.WEIGHTS.items() if kind in kinds}
    if options.weak:
        weights = reweighted(weights, exact_match(net, tokenizer, cases))
    for setting in options.share:
        kind, share = setting.split("=")
        weights[kind] = float(share)
    run = {"stream_seed": options.seed * 1000 + 17, "weights": weights, "people": options.people, "conversations": 0, "options": vars(options),
           "torch": torch.__version__}
    stream = batches(tokenizer, run, options.batch, shape.context)
    begun, seen, step, best, running = time.time(), 0, 0, -1.0, None
    progress = 0.0
    while progress < 1.0:
        ids, kind = next(stream)
        factor = rate_at(progress, 0.02)
        adam.param_groups[0]["lr"] = options.other_rate * factor
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=not options.float32):
            loss, answer = losses(net, ids, kind, options.user_weight)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        muon.step(options.matrix_rate * factor)
        adam.step()
        net.zero_grad(set_to_none=True)
        seen += int((kind > 0).sum())
        step += 1
        running = answer.item() if running is None else 0.98 * running + 0.02 * answer.item()
        elapsed = time.time() - begun
        progress = max(seen / options.tokens, elapsed / options.seconds)
        if step % 50 == 0:
            print(f"step {step} tokens {seen} answer loss {running:.4f} {seen / elapsed:.0f} tok/s "
                  f"{elapsed:.0f} s, {progress:.3f}", flush=True)
        if step % options.every == 0 or progress >= 1.0:
            scores = exact_match(net, tokenizer, cases)
            least, mean = min(scores.values()), sum(scores.values()) / len(scores)
            print("  " + " ".join(f"{k} {v:.2f}" for k, v in scores.items()) + f" | least {least:.2f} mean {mean:.3f}",
                  flush=True)
            run.update(tokens=seen, steps=step, seconds=round(elapsed), scores=scores)
            names = ["last"]
            if least + mean >= best:
                best, names = least + mean, ["last", "best"]
            for name in names:
                torch.save(net.state_dict(), os.path.join(options.out, name + ".pt"))
                with open(os.path.join(options.out, name + ".json"), "w", encoding="utf-8") as file:
                    json.dump(run, file, indent=1)


if __name__ == "__main__":
    main()
