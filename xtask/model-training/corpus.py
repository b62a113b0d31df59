"""The seeded generator of the demo model's conversations, for training and for the held-out set.

Why one generator for both: a held-out question has exactly the forms of the training text, and
differs only in holding a name, a word or a combination of numbers that `names.held_out` keeps out
of training. A conversation is a list of {"role", "content"}; `documents` gives an endless stream.
"""

import random

import facts
import names

UNKNOWN = "I do not know that."


class Talk:
    """What is fixed within one conversation: letter case, the names used, what was told."""

    def __init__(self, rng, held=False, people=3):
        self.rng = rng
        self.people = people
        self.held = held
        self.low = rng.random() < 0.15
        self.asker = None
        self.told = {}
        self.used = set()
        self.novel = []

    def case(self, text):
        return text.lower() if self.low else text

    def fresh(self, make):
        """A new name or word from `make`, remembered so that none comes twice."""
        while True:
            text = self.case(make(self.rng, self.held))
            if text.lower() not in self.used:
                self.used.add(text.lower())
                if self.held:
                    self.novel.append(text)
                return text

    def name(self):
        return self.fresh(names.name)

    def word(self):
        return self.fresh(names.invented)

    def topic(self):
        """A thing the model knows nothing about."""
        if self.rng.random() < 0.6:
            return self.fresh(lambda rng, held: names.pick(rng, facts.TOPICS, held))
        return self.word()

    def numbers(self, label, make):
        numbers = names.pair(self.rng, label, self.held, make)
        if self.held:
            self.novel.append(names.pair_key(label, numbers))
        return numbers

    def choose(self, *options):
        return self.rng.choice(options)


def _a(noun):
    return ("an " if noun[0] in "aeiou" else "a ") + noun


def _thing(t):
    return t.choose(*facts.ADJECTIVES) + " " + t.choose(*facts.THINGS)


def _distinct(t, make, count):
    items = []
    while len(items) < count:
        item = make(t)
        if item not in items:
            items.append(item)
    return items


# ---- copying ----

def greet(t):
    t.asker = t.name()
    form = t.choose("Hi, I am {}.", "Hello, I am {}.", "My name is {}.", "Hello, my name is {}.", "I am {}.",
                    "Hi, my name is {}.", "Hi! I'm {}.", "I'm {}.", "Call me {}.", "Hey, I am {}.",
                    "Hi there, my name is {}.", "Please call me {}.", "{} here.", "This is {}.")
    return form.format(t.asker), f"Hello, {t.asker}."


def recall(t):
    """The name given before; told in the same message when none was given."""
    lead = ""
    if t.asker is None:
        lead = greet(t)[0] + " "
    question = t.choose("What is my name?", "What's my name?", "Do you know my name?", "Who am I?", "What am I called?",
                        "Do you remember my name?", "Tell me my name.", "Say my name.", "Can you tell me my name?")
    return lead + question, f"Your name is {t.asker}."


MEMORIES = {
    "code": ("The code is {}.", ["What is the code?", "Tell me the code.", "What was the code?"], "The code is {}."),
    "pin": ("My PIN is {}.", ["What is my PIN?", "Tell me my PIN.", "Do you remember my PIN?"], "Your PIN is {}."),
    "password": ("The password is {}.", ["What is the password?", "Tell me the password."], "The password is {}."),
    "secret": ("The secret word is {}.", ["What is the secret word?", "Tell me the secret word."],
               "The secret word is {}."),
    "dog": ("My dog is called {}.", ["What is my dog called?", "What is the name of my dog?"],
            "Your dog is called {}."),
    "cat": ("My cat is called {}.", ["What is my cat called?", "What is the name of my cat?"],
            "Your cat is called {}."),
    "home": ("I live in {}.", ["Where do I live?", "What town do I live in?"], "You live in {}."),
    "boss": ("My boss is {}.", ["Who is my boss?", "What is the name of my boss?"], "Your boss is {}."),
}


def tell(t):
    """Something to remember."""
    free = [key for key in MEMORIES if key not in t.told]
    if not free:
        return fact(t)
    key = t.rng.choice(free)
    if key in ("code", "pin"):
        value = t.fresh(_digits)
    elif key in ("password", "secret"):
        value = t.word()
    else:
        value = t.name()
    t.told[key] = value
    lead = t.choose("", "", "", "Remember this: ", "Please remember: ", "Note: ")
    return lead + MEMORIES[key][0].format(value), "I will remember that."


def _digits(rng, held):
    """A code; held-out ones have no three digits, since those are plain numbers elsewhere."""
    while True:
        text = "".join(rng.choice("0123456789") for _ in range(rng.choice((4, 4, 4, 4, 5, 6) if held else (3, 4, 4, 4, 5, 6))))
        if names.held_out(text) == held:
            return text


def memory(t):
    """A question about something told before; told in the same message when nothing was."""
    lead = ""
    if not t.told:
        lead = tell(t)[0] + " "
    key = t.rng.choice(list(t.told))
    return lead + t.rng.choice(MEMORIES[key][1]), MEMORIES[key][2].format(t.told[key])


def _some_words(t, least, most):
    """Words to copy; at least one invented, some common, some numbers."""
    count = t.rng.randint(least, most)
    words = []
    for _ in range(count):
        draw = t.rng.random()
        if draw < 0.45:
            words.append(t.word())
        elif draw < 0.6:
            words.append(t.name())
        elif draw < 0.95 or t.held:
            words.append(t.case(t.choose(t.choose(*facts.ADJECTIVES), t.choose(*facts.THINGS), t.choose(*facts.PLACES))))
        else:
            words.append(str(t.rng.randint(0, 99)))
    if t.held and not t.novel:
        words[t.rng.randrange(count)] = t.word()
    return words


def repeat(t):
    text = " ".join(_some_words(t, 1, 6))
    form = t.choose("Repeat after me: {}", "Repeat after me: {}", "Say: {}", "Repeat: {}", "Please repeat: {}",
                    "Echo: {}", "Repeat this: {}", "Please say: {}", "Say after me: {}", "Repeat the words: {}")
    return form.format(text), text


def word_at(t):
    """The first or the last word of a list."""
    words = _distinct(t, lambda t: _some_words(t, 1, 1)[0], t.rng.randint(2, 5))
    if t.held:
        words[0], words[-1] = t.word(), t.word()
    text = " ".join(words)
    first = t.rng.random() < 0.5
    which = "first" if first else "last"
    form = t.choose("What is the {} word of: {}", "What is the {} word in: {}", "Give me the {} word of: {}",
                    "The {} word of: {}", "Tell me the {} word of: {}")
    return form.format(which, text), f"The {which} word is {words[0] if first else words[-1]}."


def has(t, backwards=False):
    people = [t.name() for _ in range(t.rng.randint(1, t.people))]
    things = _distinct(t, _thing, len(people))
    verb = t.choose("has", "has", "has", "holds", "found", "bought")
    story = " ".join(f"{person} {verb} {_a(thing)}." for person, thing in zip(people, things))
    index = t.rng.randrange(len(people))
    base = {"has": "have", "holds": "hold", "found": "find", "bought": "buy"}[verb]
    aux = "does" if verb in ("has", "holds") else "did"
    draw = 0.9 if backwards else 0.1 if t.held else t.rng.random()
    if draw < 0.6:
        question = f"What {aux} {people[index]} {base}?"
        answer = f"{people[index]} {verb} {_a(things[index])}."
    elif draw < 0.95:
        question = f"Who {verb} the {things[index]}?"
        answer = f"{people[index]} {verb} the {things[index]}."
    else:
        question, answer = f"What {aux} {t.name()} {base}?", UNKNOWN
    return story + " " + question, answer


def where(t, backwards=False):
    people = [t.name() for _ in range(t.rng.randint(1, t.people))]
    places = _distinct(t, lambda t: t.choose(*facts.PLACES), len(people))
    story = " ".join(f"{person} is in the {place}." for person, place in zip(people, places))
    index = t.rng.randrange(len(people))
    if not backwards and (t.held or t.rng.random() < 0.6):
        question = f"Where is {people[index]}?"
    else:
        question = f"Who is in the {places[index]}?"
    return story + " " + question, f"{people[index]} is in the {places[index]}."


def who(t):
    """The other way round: the person is asked for. Harder, since the name stands before the match."""
    return (has if t.rng.random() < 0.5 else where)(t, backwards=True)


# ---- facts ----

CAPITAL_FORMS = [
    "What is the capital of {}?", "What is the capital of {}?", "What is the capital of {}?", "What's the capital of {}?",
    "Capital of {}?", "Tell me the capital of {}.", "Which city is the capital of {}?", "Name the capital of {}.",
    "Do you know the capital of {}?", "What is the capital city of {}?", "The capital of {} is?", "What is {}'s capital?",
    "Can you tell me the capital of {}?", "I want to know the capital of {}.", "Give me the capital of {}.",
]


def capital(t):
    country = t.rng.choice(list(facts.CAPITALS))
    return t.choose(*CAPITAL_FORMS).format(country), f"The capital of {country} is {facts.CAPITALS[country]}."


def _next_in(t, row, thing):
    index = t.rng.randrange(len(row))
    step = t.choose(1, -1)
    word = "after" if step == 1 else "before"
    form = t.choose("What {thing} comes {word} {item}?", "Which {thing} comes {word} {item}?", "What {thing} is {word} {item}?")
    other = row[(index + step) % len(row)]
    return form.format(thing=thing, word=word, item=row[index]), f"{other} comes {word} {row[index]}."


def opposite(t):
    left, right = t.rng.choice(list(facts.OPPOSITES.items()))
    if t.rng.random() < 0.5:
        left, right = right, left
    form = t.choose("What is the opposite of {}?", "What's the opposite of {}?", "Opposite of {}?",
                    "Tell me the opposite of {}.", "Give me the opposite of {}.", "Name the opposite of {}.")
    return form.format(left), f"The opposite of {left} is {right}."


def fact(t):
    """A plain fact about colours, animals, days or months."""
    kind = t.rng.randrange(6)
    if kind == 0:
        thing, colour = t.rng.choice(list(facts.COLOURS.items()))
        form = t.choose("What colour is {}?", "What color is {}?", "Which colour is {}?", "Tell me what colour {} is.")
        return form.format(thing), f"{thing[0].upper() + thing[1:]} is {colour}."
    if kind == 1:
        animal, sound = t.rng.choice(list(facts.SOUNDS.items()))
        form = t.choose("What sound does {} make?", "What noise does {} make?", "How does {} sound?")
        return form.format(_a(animal)), f"{_a(animal).capitalize()} {sound}."
    if kind == 2:
        animal, young = t.rng.choice(list(facts.YOUNG.items()))
        form = t.choose("What is a young {} called?", "What is a baby {} called?", "What do you call a young {}?",
                        "What do you call a baby {}?")
        return form.format(animal), f"A young {animal} is called {_a(young)}."
    if kind == 3:
        animal, legs = t.rng.choice(list(facts.LEGS.items()))
        form = t.choose("How many legs does {} have?", "How many legs has {}?")
        return form.format(_a(animal)), f"{_a(animal).capitalize()} has {legs} legs."
    if kind == 4:
        return _next_in(t, facts.DAYS, t.choose("day", "day of the week"))
    return _next_in(t, facts.MONTHS, "month")


def _question(text):
    return text[0].upper() + text[1:] + "?"


def about(t):
    questions, answer = t.rng.choice(facts.ABOUT)
    text = questions[0] if t.rng.random() < 0.4 else t.rng.choice(questions)
    imperative = text.split()[0] in ("introduce", "tell", "explain", "help")
    return (text[0].upper() + text[1:] + "." if imperative else _question(text)), answer


def term(t):
    text, answer = t.rng.choice(list(facts.TERMS.items()))
    bare = text.split(" ", 1)[1] if text.split()[0] in ("a", "an") else text
    form = t.choose("What is {}?", "What is {}?", "What is {}?", "What's {}?", "Define {}.", "Explain {}.", "Tell me about {}.",
                    "What does {bare} mean?", "What is {bare}?", "Explain {bare}.", "Can you explain {}?",
                    "What do you know about {}?")
    return form.format(text, bare=bare), answer


def small_talk(t):
    questions, answer = t.rng.choice(facts.SMALL_TALK)
    text = t.rng.choice(questions)
    return text[0].upper() + text[1:] + ("?" if text.startswith("how") else t.choose(".", "!", "")), answer


# ---- numbers ----

def _number(rng):
    return rng.choice((rng.randint(0, 20), rng.randint(0, 99), rng.randint(0, 99), rng.randint(100, 999)))


def next_number(t):
    (number,) = t.numbers("next", lambda: (_number(t.rng) if t.rng.random() < 0.8 else t.rng.randint(0, 98) * 10 + 9,))
    form = t.choose("What number comes after {}?", "What comes after {}?", "Which number comes after {}?",
                    "What is the next number after {}?", "Next number after {}?")
    return form.format(number), f"{number + 1} comes after {number}."


def larger(t):
    def make():
        left, right = _number(t.rng), _number(t.rng)
        return (left, right) if left != right else make()
    left, right = t.numbers("larger", make)
    form = t.choose("Which is larger, {} or {}?", "Which number is larger, {} or {}?", "What is larger, {} or {}?",
                    "Which is bigger, {} or {}?", "Is {} or {} larger?")
    return form.format(left, right), f"{max(left, right)} is larger than {min(left, right)}."


def total(t):
    left, right = t.numbers("sum", lambda: (t.rng.randint(0, 49), t.rng.randint(0, 49)))
    form = t.choose("What is {} + {}?", "What is {} plus {}?", "{} + {}", "What's {} + {}?", "Add {} and {}.",
                    "Calculate {} + {}.", "How much is {} + {}?", "{} + {} = ?")
    return form.format(left, right), f"{left} + {right} = {left + right}."


def small_sum(t):
    """Sums of numbers up to ten, which are few enough to know; larger ones it must decline."""
    most = 10 if t.held or t.rng.random() < 0.85 else 99
    left, right = t.rng.randint(0, most), t.rng.randint(0, most)
    form = t.choose("What is {} + {}?", "What is {} + {}?", "What is {} plus {}?", "{} + {}", "What's {} + {}?",
                    "Add {} and {}.", "Calculate {} + {}.", "How much is {} + {}?", "{} + {} = ?")
    known = left <= 10 and right <= 10
    return form.format(left, right), f"{left} + {right} = {left + right}." if known else UNKNOWN


def count(t):
    def make():
        start = t.rng.choice((1, t.rng.randint(0, 20), t.rng.randint(0, 90)))
        return start, start + t.rng.randint(2, 8)
    start, end = t.numbers("count", make)
    form = t.choose("Count from {} to {}.", "Please count from {} to {}.", "Count {} to {}.")
    return form.format(start, end), ", ".join(str(number) for number in range(start, end + 1)) + "."


# ---- what it does not know ----

TOPIC_FORMS = [
    "What is {}?", "What is {}?", "What is a {}?", "Tell me about {}.", "How does {} work?", "Who invented {}?",
    "Where can I buy {}?", "Why is {} important?", "Write a poem about {}.", "Write a story about {}.",
    "What is the history of {}?", "How much does {} cost?", "Do you like {}?", "Explain {}.", "Define {}.",
    "Translate {} to French.", "Give me a recipe for {}.", "What is the best {}?", "How do I make {}?",
    "Can you help me with {}?", "Summarize the history of {}.", "Is {} good for me?", "What are {} made of?",
    "I like {}.", "Let us talk about {}.", "What do you think about {}?", "How many kinds of {} are there?",
    "When was {} invented?", "What is the price of {}?", "Write code for {}.", "What causes {}?",
    "What is the opposite of {}?", "What colour is {}?", "What sound does {} make?", "What is the meaning of {}?",
    "How old is {}?", "List five facts about {}.", "What does {} mean?", "Why do people like {}?", "Draw {}.",
    "What do you know about {}?", "Can you explain {}?", "How do I learn {}?", "Which {} is the largest?",
]
NAME_FORMS = [
    "Who is {}?", "Where does {} live?", "How old is {}?", "When was {} born?", "Where is {}?", "What does {} have?",
    "Who was {}?", "Is {} married?", "What did {} do?", "What did {} say?", "What does {} think?", "Do you know {}?",
    "Where was {} born?", "How tall is {}?", "What is the phone number of {}?", "Who is the father of {}?",
]
COUNTRY_FORMS = [
    "What is the population of {}?", "Who is the president of {}?", "What language is spoken in {}?",
    "How large is {}?", "What is the currency of {}?", "Where is {}?", "Who is the king of {}?",
    "What is the weather in {}?", "What is the largest city in {}?", "How far is {}?",
]
FIXED_UNKNOWN = [
    "What time is it?", "What day is it today?", "What is the meaning of life?", "Tell me a joke.", "Sing a song.",
    "Who won the match?", "What is the weather today?", "How far is the moon?", "What should I eat?",
    "Where are my keys?", "What is the news?", "Write a poem.", "Tell me a story.", "How old am I?",
    "What is the date?", "Who is the president?", "What is love?", "Is there life on Mars?", "Can you drive a car?",
    "What will happen tomorrow?", "Why is the sky blue?", "Which team is the best?", "What is for dinner?",
]


def unknown(t):
    draw = t.rng.random()
    if draw < 0.42:
        return t.choose(*TOPIC_FORMS).format(t.topic()), UNKNOWN
    if draw < 0.57:
        return t.choose(*NAME_FORMS).format(t.name()), UNKNOWN
    if draw < 0.72:
        return t.choose(*CAPITAL_FORMS).format(t.word().capitalize()), UNKNOWN
    if draw < 0.78 and not t.held:
        return t.choose(*CAPITAL_FORMS).format(t.choose(*facts.OTHER_COUNTRIES)), UNKNOWN
    if draw < 0.84:
        country = t.name() if t.held else t.choose(*facts.CAPITALS, *facts.OTHER_COUNTRIES, *facts.CAPITALS.values())
        return t.choose(*COUNTRY_FORMS).format(country), UNKNOWN
    if draw < 0.88:
        return " ".join(t.word() for _ in range(t.rng.randint(1, 4))) + t.choose("", "?", "."), UNKNOWN
    if draw < 0.92:
        left, right = t.numbers("product", lambda: (t.rng.randint(0, 99), t.rng.randint(0, 99)))
        form = t.choose("What is {} times {}?", "What is {} - {}?", "What is {} * {}?", "What is {} minus {}?",
                        "What is {} divided by {}?", "What is {} / {}?")
        return form.format(left, right), UNKNOWN
    if draw < 0.95 and not t.held:
        if t.asker is None and t.rng.random() < 0.4:
            return t.choose("What is my name?", "Who am I?", "Do you know my name?", "What's my name?"), UNKNOWN
        key = t.rng.choice(list(MEMORIES))
        if key not in t.told:
            return t.rng.choice(MEMORIES[key][1]), UNKNOWN
    if t.held:
        return t.choose(*TOPIC_FORMS).format(t.topic()), UNKNOWN
    return t.choose(*FIXED_UNKNOWN), UNKNOWN


def no_capital(t):
    """Countries that are not in the list, real or not."""
    if t.rng.random() < 0.4 and not t.held:
        country = t.choose(*facts.OTHER_COUNTRIES)
    else:
        country = t.fresh(lambda rng, held: names.country(rng, held))
    return t.choose(*CAPITAL_FORMS).format(country), UNKNOWN


def repeat_text(t):
    """Repeat a sentence rather than a list of words, one or two of its words invented."""
    pool = t.choose(FIXED_UNKNOWN, list(facts.TERMS.values()), TOPIC_FORMS)
    words = t.rng.choice(pool).rstrip(".?").format(t.choose(*facts.PLACES)).split(" ")
    for _ in range(t.rng.randint(1, 2)):
        words[t.rng.randrange(len(words))] = t.word()
    words = words[-9:]
    if t.held and not any(word in t.novel for word in words):
        words[0] = t.word()
    text = t.case(" ".join(words))
    return t.choose("Repeat after me: {}", "Repeat: {}", "Say: {}", "Please repeat: {}", "Echo: {}").format(text), text


# ---- putting conversations together ----

KINDS = {  # kind: (generator, share of the questions)
    "greeting": (greet, 4), "recall": (recall, 8), "memory": (memory, 9), "repeat": (repeat, 10),
    "word-at": (word_at, 5), "has": (has, 12), "where": (where, 7), "capital": (capital, 9),
    "opposite": (opposite, 3), "fact": (fact, 4), "about": (about, 4), "term": (term, 5),
    "small-talk": (small_talk, 2), "next-number": (next_number, 3), "larger": (larger, 3), "sum": (total, 7),
    "count": (count, 3), "unknown": (unknown, 13), "small-sum": (small_sum, 0),
    "no-capital": (no_capital, 0), "repeat-text": (repeat_text, 0), "who": (who, 0),
}
FACT_KINDS = ("small-sum", "capital", "opposite", "fact", "about", "term", "small-talk")
VERBATIM = ("repeat", "repeat-text", "word-at")  # nothing may follow the words to copy


def wrap(t, kind, text, force_asker=False):
    """The variations a person makes: who asks, politeness, punctuation, capitals."""
    rng = t.rng
    if kind not in VERBATIM:
        if kind in FACT_KINDS and t.asker is None and (force_asker or rng.random() < 0.12):
            t.asker = t.name()
            lead = t.choose("I am {}. ", "My name is {}. ", "{} here. ", "Hi, I am {}. ", "Hello, my name is {}. ", "I'm {}. ")
            text = lead.format(t.asker) + text
        elif rng.random() < 0.06 and kind not in ("greeting", "small-talk"):
            text = t.choose("Hello! ", "Hi. ", "Please answer: ", "Question: ", "Quick question: ", "Hey, ", "So, ") + text
        if rng.random() < 0.04 and not (t.held and kind == "small-talk"):
            text += t.choose(" Please.", " Thanks!", " Thank you.")
        elif rng.random() < 0.12 and text[-1] in ".?!":
            text = text[:-1]
        elif rng.random() < 0.02:
            text += t.choose("?", "!", " ")
    if t.low:
        text = text.lower()
    elif rng.random() < 0.05 and t.asker is None:
        text = text[0].lower() + text[1:] if not text.split()[0].strip(".,!?").lower() in t.used else text
    return text.strip()


def turn(t, kind, force_asker=False):
    text, answer = (tell if kind == "tell" else KINDS[kind][0])(t)
    text = wrap(t, kind, text, force_asker)
    if kind == "repeat" and t.low:
        answer = answer.lower()
    return [{"role": "user", "content": text}, {"role": "assistant", "content": answer}]


def _start(t, share):
    if t.rng.random() < share:
        return [{"role": "system", "content": t.case(t.rng.choice(facts.SYSTEM_TEXTS))}]
    return []


def _filler(t, most, weights):
    messages = []
    for _ in range(t.rng.randint(0, most)):
        messages += turn(t, t.rng.choices(list(weights), list(weights.values()))[0])
    return messages


WEIGHTS = {kind: share for kind, (_, share) in KINDS.items()}


def _between(weights):
    """What may come between telling and asking: no other telling of the same thing."""
    return {kind: share for kind, share in weights.items() if kind not in ("greeting", "recall", "memory")}


def question(t, kind, weights, force_asker=False):
    """One question of a kind, with what must come before it."""
    messages = []
    if kind == "recall" and t.asker is None and t.rng.random() < 0.75:
        messages += turn(t, "greeting") + _filler(t, 2, _between(weights))
    if kind == "memory" and not t.told and t.rng.random() < 0.7:
        messages += turn(t, "tell")
        if t.rng.random() < 0.3:
            messages += turn(t, "tell")
        messages += _filler(t, 1, _between(weights))
    if kind == "greeting" and t.asker is not None:
        kind = "recall"
    return messages + turn(t, kind, force_asker)


def conversation(rng, weights, people):
    t = Talk(rng, people=people)
    messages = _start(t, 0.12)
    turns = rng.choices((1, 2, 3, 4, 6, 9), (50, 22, 14, 8, 4, 2))[0]
    for _ in range(turns):
        messages += question(t, rng.choices(list(weights), list(weights.values()))[0], weights)
    return messages


def documents(seed, weights=None, people=3):
    """An endless, seeded stream of training conversations, with at most `people` in a story."""
    rng = random.Random(seed)
    while True:
        yield conversation(rng, weights or WEIGHTS, people)


def _form_words():
    """The words of the question forms, which a held-out invented word must not happen to be."""
    forms = CAPITAL_FORMS + TOPIC_FORMS + NAME_FORMS + COUNTRY_FORMS + FIXED_UNKNOWN
    for statement, questions, answer in MEMORIES.values():
        forms = forms + [statement, answer] + questions
    return {word.strip(".,?!'").lower() for form in forms for word in form.split()}


def held_out_cases(seed, per_kind, kinds):
    """Questions whose `novel` strings or number combinations are in no training text."""
    weights = {kind: max(share, 1) for kind, share in WEIGHTS.items() if kind != "sum"}
    cases, taken = [], _form_words()
    for kind in kinds:
        rng, seen = random.Random(f"{seed} {kind}"), set()  # the other kinds do not matter
        while len(seen) < per_kind:
            t = Talk(rng, held=True)
            messages = _start(t, 0.15) + question(t, kind, weights, force_asker=True)
            content = messages[-2]["content"]
            if not t.novel or content in seen or any(novel.lower() in taken for novel in t.novel):
                continue
            seen.add(content)
            cases.append({"kind": kind, "messages": messages[:-1], "answer": messages[-1]["content"],
                          "novel": t.novel})
    return cases


if __name__ == "__main__":
    stream = documents(1)
    for _ in range(40):
        for message in next(stream):
            print(f"{message['role']}: {message['content']}")
        print()
