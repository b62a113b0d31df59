"""Invented names and words, and the rule that keeps some of them out of the training text.

Why: the demo model must copy names it has never seen. Which strings are unseen is decided by a hash
of the string itself, not by a list: training text refuses every string for which `held_out` is
true, the held-out questions use only such strings, and no choice of seed can mix the two.
"""

import functools
import hashlib

import facts

ONSETS = """b br c ch d dr f fl g gl gr h j k kl kr l m n p ph pl pr qu r s sh sk sl st t th tr v w
x y z zh zw""".split()
VOWELS = "a e i o u a e i o a e o ai ei au ea ie oo ou y".split()
CODAS = ["", "", "", "", "n", "r", "l", "s", "t", "m", "k", "nd", "x", "th", "rn", "sk", "ng", "v", "d", "b", "g", "p", "z", "ck"]
LETTERS = "aaaabcdeeeefghiiijklmnoooopqrstuuvwxyz"


@functools.lru_cache(maxsize=400_000)
def held_out(text):
    """True for one string in eight: such a string is never in the training text."""
    return hashlib.sha256(text.lower().encode()).digest()[0] % 8 == 0


def _reserved():
    """Words with a meaning of their own, which an invented word must not hit."""
    words = set()
    tables = [facts.CAPITALS, facts.OPPOSITES, facts.COLOURS, facts.SOUNDS, facts.YOUNG, facts.TERMS]
    for table in tables:
        for key, value in table.items():
            words.update((key + " " + value).lower().replace(".", "").split())
    for entries in (facts.ABOUT, facts.SMALL_TALK):
        for questions, answer in entries:
            words.update((" ".join(questions) + " " + answer).lower().replace(".", "").split())
    for row in (facts.OTHER_COUNTRIES, facts.DAYS, facts.MONTHS, facts.ADJECTIVES, facts.THINGS,
                facts.PLACES, facts.SYSTEM_TEXTS):
        words.update(" ".join(row).lower().replace(".", "").split())
    return frozenset(words)


TAUGHT = _reserved()
RESERVED = TAUGHT | {topic.lower() for topic in facts.TOPICS}


def _syllables(rng):
    count = rng.choice((1, 2, 2, 2, 2, 3, 3))
    word = "".join(rng.choice(ONSETS) + rng.choice(VOWELS) for _ in range(count)) + rng.choice(CODAS)
    return (rng.choice("aeiou") + word) if rng.random() < 0.12 else word


def _letters(rng):
    return "".join(rng.choice(LETTERS) for _ in range(rng.randint(4, 8)))


def invented(rng, held):
    """A lower-case word of at least four letters that means nothing."""
    while True:
        word = _letters(rng) if rng.random() < 0.15 else _syllables(rng)
        if 4 <= len(word) <= 11 and word not in RESERVED and held_out(word) == held:
            return word


def name(rng, held):
    """A first name, usually an invented one."""
    if rng.random() < 0.2:
        real = rng.choice(facts.REAL_NAMES)
        if held_out(real) == held:
            return real
    return invented(rng, held).capitalize()


def country(rng, held):
    """The name of a country that does not exist."""
    while True:
        word = invented(rng, held) + rng.choice(("", "ia", "land", "stan", "a", "any"))
        if held_out(word) == held:
            return word.capitalize()


def pick(rng, items, held):
    """One of a list of words, on the wanted side of the hash."""
    while True:
        item = rng.choice(items)
        if held_out(item) == held and not (held and item.lower() in TAUGHT):
            return item


def pair(rng, label, held, make):
    """A tuple of numbers from `make`, on the wanted side of the hash; order does not matter."""
    while True:
        numbers = make()
        if held_out(pair_key(label, numbers)) == held:
            return numbers


def pair_key(label, numbers):
    return label + ":" + ":".join(str(number) for number in sorted(numbers))
