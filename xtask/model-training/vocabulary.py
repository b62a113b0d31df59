"""The demo model's tokenizer, chat template, and conversion of conversations to token ids.

Why not a plain byte-level BPE: there a word has other tokens after a space than at the start of a
message, and a small model that must copy names would have to learn both spellings of each. Here
merges are learned within words only, and the space is joined to a word by the very last merges,
for the most common words. So a rare name always has the same tokens. Digits stand alone.
"""

import collections
import json
import os

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

import corpus
import facts

SPECIAL = ["<|pad|>", "<|bos|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>"]
PAD, BOS, END, SYSTEM, USER, ASSISTANT = range(6)
SIZE = 1024
LEARNED = 812  # special tokens, bytes and merges within words; the rest join a space to a word
SPACE = "\u0120"  # how byte-level BPE writes a space

CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>\\n' + message['content'] + '<|end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}"
)


def text_of(messages, generation_prompt=False):
    """The same text as the chat template."""
    text = "<|bos|>" + "".join(f"<|{m['role']}|>\n{m['content']}<|end|>\n" for m in messages)
    return text + ("<|assistant|>\n" if generation_prompt else "")


def learn(seed, conversations):
    """A tokenizer learned from the generator's own text."""
    stream = corpus.documents(seed)
    lines = [m["content"] for _ in range(conversations) for m in next(stream)]
    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.Split(Regex(r"\s"), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
    ])
    learner.train_from_iterator(lines, trainers.BpeTrainer(
        vocab_size=LEARNED - len(SPECIAL), initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False))
    learned = json.loads(learner.to_str())["model"]
    pieces = sorted(learned["vocab"], key=learned["vocab"].get)
    merges = [tuple(merge.split(" ")) if isinstance(merge, str) else tuple(merge) for merge in learned["merges"]]

    counts = collections.Counter(
        word.strip(".,?!:") for line in lines for word in line.split(" ")[1:])
    known = set(pieces)
    names = set(facts.REAL_NAMES)
    common = [word for word, _ in counts.most_common()
              if word in known and word not in names and not word.isdigit()]
    for word in common[:SIZE - LEARNED]:
        merges.append((SPACE, word))
        pieces.append(SPACE + word)

    vocabulary = {token: index for index, token in enumerate(SPECIAL + pieces)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, fuse_unk=False))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
    ])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL])
    return tokenizer


def save(tokenizer, folder):
    os.makedirs(folder, exist_ok=True)
    tokenizer.save(os.path.join(folder, "tokenizer.json"))
    settings = {
        "added_tokens_decoder": {
            str(index): {"content": token, "lstrip": False, "normalized": False, "rstrip": False,
                         "single_word": False, "special": True}
            for index, token in enumerate(SPECIAL)
        },
        "additional_special_tokens": ["<|system|>", "<|user|>", "<|assistant|>"],
        "bos_token": "<|bos|>",
        "eos_token": "<|end|>",
        "pad_token": "<|pad|>",
        "chat_template": CHAT_TEMPLATE,
        "clean_up_tokenization_spaces": False,
        "model_max_length": 512,
        "tokenizer_class": "PreTrainedTokenizerFast",
    }
    with open(os.path.join(folder, "tokenizer_config.json"), "w", encoding="utf-8") as file:
        json.dump(settings, file, indent=2)
        file.write("\n")


def load(folder):
    return Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))


def answer_mask(ids):
    """1 for each id the assistant has to produce, its end token included."""
    mask, inside = [], False
    for position, token in enumerate(ids):
        opened = position > 1 and ids[position - 2] == ASSISTANT
        inside = opened or (inside and ids[position - 1] != END)
        mask.append(1 if inside else 0)
    return mask


if __name__ == "__main__":
    import sys
    save(learn(7, 40_000), sys.argv[1])
