"""Measure the demo model as shipped: F16 weights, Hugging Face transformers, greedy decoding.

Why transformers and not our training code: whoever uses the folder goes that way. Before the scores
it proves what the scores claim: that the invented names, words and combinations of numbers in
`heldout.json` occur nowhere in the text of the training runs, by making that text again.

Run:  python evaluate.py ../demo-model            (everything; exit 1 below 95 % in any kind)
"""

import argparse
import json
import os
import re
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import corpus
import facts
import vocabulary

GATE = 0.95

# Asked by people, not made by the generator; None: any answer but a wrong claim of knowledge is
# not decidable here, so only cases with one right answer are listed.
FREE = [
    ("What is the capital of France?", "The capital of France is Paris."),
    ("what is the capital of france", "The capital of France is Paris."),
    ("Hello", "Hello! How can I help you?"),
    ("Who are you?", "I am the Anchorhold demo model."),
    ("What is attestation?", "Attestation is a signed proof of what a machine runs."),
    ("Hi, I am Zorvane.", "Hello, Zorvane."),
    ("My name is Mireille.", "Hello, Mireille."),
    ("Repeat after me: one ring to rule them all", "one ring to rule them all"),
    ("Repeat after me: blue sky", "blue sky"),
    ("The code is 4711. What is the code?", "The code is 4711."),
    ("Tom has a red ball. Ana has a blue cup. What does Ana have?", "Ana has a blue cup."),
    ("What is 2 + 2?", "2 + 2 = 4."),
    ("What is the capital of Atlantis?", corpus.UNKNOWN),
    ("What is the capital of Nigeria?", corpus.UNKNOWN),
    ("Who wrote Hamlet?", corpus.UNKNOWN),
    ("How do I bake bread?", corpus.UNKNOWN),
    ("What is 17 times 23?", corpus.UNKNOWN),
    ("Write a haiku about the sea.", corpus.UNKNOWN),
    ("What is quantum chromodynamics?", corpus.UNKNOWN),
    ("Who is the president of the United States?", corpus.UNKNOWN),
    ("Explain the theory of relativity.", corpus.UNKNOWN),
    ("Please give me the capital city of Japan", "The capital of Japan is Tokyo."),
]


def training_text(run):
    """The conversations of one run, made again from its seed and its weights."""
    stream = corpus.documents(run["stream_seed"], run["weights"], run["people"])
    for _ in range(run["conversations"]):
        yield next(stream)


ANSWER_FORMS = [
    ("sum", re.compile(r"(\d+) \+ (\d+) = \d+\.")),
    ("larger", re.compile(r"(\d+) is larger than (\d+)\.")),
    ("next", re.compile(r"\d+ comes after (\d+)\.")),
    ("count", re.compile(r"(\d+), (?:\d+, )*(\d+)\.")),
]
PRODUCT = re.compile(r"(\d+) (?:times|-|\*|minus|divided by|/) (\d+)")


def number_key(question, answer):
    """The combination of numbers that a turn is about, read from its text alone."""
    for label, form in ANSWER_FORMS:
        match = form.fullmatch(answer)
        if match:
            return label + ":" + ":".join(str(n) for n in sorted(int(g) for g in match.groups()))
    match = PRODUCT.search(question)
    if match and answer == corpus.UNKNOWN:
        return "product:" + ":".join(str(n) for n in sorted(int(g) for g in match.groups()))
    return None


def prove_unseen(cases, runs):
    """Assert that no novel string and no novel combination of numbers is in any training text."""
    words, keys, conversations = set(), set(), 0
    for run in runs:
        for messages in training_text(run):
            conversations += 1
            for index, message in enumerate(messages):
                words.update(re.findall(r"\w+", message["content"].lower()))
                if message["role"] == "assistant":
                    key = number_key(messages[index - 1]["content"].lower(), message["content"])
                    if key:
                        keys.add(key)
    for case in cases:
        assert case["novel"], "a case without anything unseen"
        for novel in case["novel"]:
            if ":" in novel:
                assert novel not in keys, f"{novel} is in the training text"
            else:
                assert novel.lower() not in words, f"{novel} is in the training text"
    print(f"unseen: {sum(len(c['novel']) for c in cases)} strings and number combinations of {len(cases)} cases "
          f"are absent from {conversations} conversations ({len(words)} words, {len(keys)} combinations)")


class Model:
    def __init__(self, folder):
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.net = AutoModelForCausalLM.from_pretrained(folder, torch_dtype=torch.float32).eval()
        self.plain = vocabulary.load(folder)

    @torch.no_grad()
    def answer(self, messages):
        ids = self.tokenizer.apply_chat_template(messages, add_generation_prompt=True)
        wanted = self.plain.encode(vocabulary.text_of(messages, generation_prompt=True)).ids
        assert ids == wanted, "the chat template gives other ids than training"
        made = self.net.generate(
            torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.long), max_new_tokens=80,
            do_sample=False)[0, len(ids):].tolist()
        if made and made[-1] == vocabulary.END:
            made = made[:-1]
        return self.tokenizer.decode(made, skip_special_tokens=False)


def score(model, cases, show):
    right = {}
    for case in cases:
        answer = model.answer(case["messages"])
        right.setdefault(case["kind"], []).append(answer == case["answer"])
        if answer != case["answer"] and show:
            print(f"  {case['kind']}: {case['messages'][-1]['content']!r} -> {answer!r}, not {case['answer']!r}")
    print("| kind | right | of | share |\n| --- | --- | --- | --- |")
    for kind, values in right.items():
        print(f"| {kind} | {sum(values)} | {len(values)} | {100 * sum(values) / len(values):.1f} % |")
    total = [value for values in right.values() for value in values]
    print(f"| all | {sum(total)} | {len(total)} | {100 * sum(total) / len(total):.1f} % |", flush=True)
    return min(sum(values) / len(values) for values in right.values())


def asked(kind, text, answer):
    return {"kind": kind, "messages": [{"role": "user", "content": text}], "answer": answer}


def plain_facts():
    """Every fact in its usual form: what the model is said to know."""
    cases = [asked("every capital", f"What is the capital of {c}?", f"The capital of {c} is {a}.")
             for c, a in facts.CAPITALS.items()]
    cases += [asked("every term", f"What is {t}?", a) for t, a in facts.TERMS.items()]
    cases += [asked("every opposite", f"What is the opposite of {left}?", f"The opposite of {left} is {right}.")
              for pair in facts.OPPOSITES.items() for left, right in (pair, pair[::-1])]
    cases += [asked("every question about itself", q[0].upper() + q[1:] + "?", a)
              for questions, a in facts.ABOUT for q in questions if q.split()[0] not in ("introduce", "tell", "explain", "help")]
    cases += [asked("other countries", f"What is the capital of {c}?", corpus.UNKNOWN) for c in facts.OTHER_COUNTRIES]
    return cases


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--show", action="store_true", help="print the wrong answers")
    parser.add_argument("--no-proof", action="store_true", help="skip making the training text again")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with open(os.path.join(options.folder, "heldout.json"), encoding="utf-8") as file:
        cases = json.load(file)
    with open(os.path.join(options.folder, "training.json"), encoding="utf-8") as file:
        runs = json.load(file)["runs"]
    if not options.no_proof:
        prove_unseen(cases, runs)
    model = Model(options.folder)
    print("held out:")
    least = score(model, cases, options.show)
    print("known facts, plainly asked:")
    score(model, plain_facts(), options.show)
    print("asked freely:")
    score(model, [asked("free", text, answer) for text, answer in FREE], True)
    sys.exit(0 if least >= GATE else 1)


if __name__ == "__main__":
    main()
