"""The plain facts and word lists the demo model's training text is made of.

Why a file of its own: what the model is taught to know can be read and checked here without
reading any code. Everything was written for this project; no data set is used.
"""

CAPITALS = {
    "France": "Paris", "Germany": "Berlin", "Italy": "Rome", "Spain": "Madrid", "Portugal": "Lisbon",
    "Austria": "Vienna", "Switzerland": "Bern", "Belgium": "Brussels", "Denmark": "Copenhagen",
    "Norway": "Oslo", "Sweden": "Stockholm", "Finland": "Helsinki", "Iceland": "Reykjavik",
    "Ireland": "Dublin", "Poland": "Warsaw", "Hungary": "Budapest", "Romania": "Bucharest",
    "Bulgaria": "Sofia", "Greece": "Athens", "Turkey": "Ankara", "Ukraine": "Kyiv", "Croatia": "Zagreb",
    "Serbia": "Belgrade", "Slovakia": "Bratislava", "Slovenia": "Ljubljana", "Estonia": "Tallinn",
    "Latvia": "Riga", "Lithuania": "Vilnius", "Russia": "Moscow", "China": "Beijing", "Japan": "Tokyo",
    "India": "New Delhi", "Nepal": "Kathmandu", "Thailand": "Bangkok", "Vietnam": "Hanoi",
    "Indonesia": "Jakarta", "Iran": "Tehran", "Iraq": "Baghdad", "Jordan": "Amman", "Lebanon": "Beirut",
    "Qatar": "Doha", "Egypt": "Cairo", "Morocco": "Rabat", "Tunisia": "Tunis", "Kenya": "Nairobi",
    "Ghana": "Accra", "Senegal": "Dakar", "Ethiopia": "Addis Ababa", "Uganda": "Kampala",
    "Canada": "Ottawa", "Mexico": "Mexico City", "Cuba": "Havana", "Brazil": "Brasilia", "Peru": "Lima",
    "Chile": "Santiago", "Argentina": "Buenos Aires", "Colombia": "Bogota", "Ecuador": "Quito",
    "Uruguay": "Montevideo", "Australia": "Canberra",
}

# Real countries whose capital the model is not taught: it must say so.
OTHER_COUNTRIES = """Albania Algeria Angola Armenia Azerbaijan Bahrain Bangladesh Belarus Bhutan
Bolivia Botswana Cambodia Cameroon Chad Cyprus Eritrea Fiji Gabon Georgia Guatemala Guinea Guyana
Haiti Honduras Jamaica Kazakhstan Kuwait Laos Liberia Libya Luxembourg Madagascar Malawi Malaysia
Mali Malta Moldova Monaco Mongolia Montenegro Mozambique Myanmar Namibia Nicaragua Niger Nigeria
Oman Pakistan Panama Paraguay Philippines Rwanda Samoa Singapore Somalia Sudan Syria Taiwan Tanzania
Togo Tonga Uzbekistan Venezuela Yemen Zambia Zimbabwe""".split()

OPPOSITES = dict(pair.split("-") for pair in """hot-cold big-small fast-slow up-down left-right
day-night happy-sad rich-poor hard-soft wet-dry full-empty open-closed young-old early-late
high-low long-short light-dark good-bad near-far strong-weak thick-thin clean-dirty loud-quiet
first-last true-false yes-no love-hate win-lose buy-sell push-pull start-stop inside-outside
above-below before-after always-never safe-dangerous easy-difficult wide-narrow deep-shallow
sharp-blunt""".split())

COLOURS = {
    "grass": "green", "snow": "white", "blood": "red", "the sun": "yellow", "coal": "black",
    "the sky": "blue", "a lemon": "yellow", "a carrot": "orange", "milk": "white", "chocolate": "brown",
    "a tomato": "red", "a frog": "green", "a crow": "black", "a flamingo": "pink", "the sea": "blue",
    "a cucumber": "green", "a polar bear": "white", "a pumpkin": "orange", "an elephant": "grey",
    "a strawberry": "red",
}

SOUNDS = {
    "dog": "barks", "cat": "meows", "cow": "moos", "duck": "quacks", "sheep": "bleats", "lion": "roars",
    "wolf": "howls", "snake": "hisses", "bee": "buzzes", "horse": "neighs", "pig": "oinks", "owl": "hoots",
    "frog": "croaks", "mouse": "squeaks",
}

YOUNG = {
    "dog": "puppy", "cat": "kitten", "cow": "calf", "sheep": "lamb", "horse": "foal", "lion": "cub",
    "pig": "piglet", "duck": "duckling", "goat": "kid", "hen": "chick", "deer": "fawn", "swan": "cygnet",
    "frog": "tadpole", "kangaroo": "joey",
}

LEGS = {"dog": "four", "spider": "eight", "ant": "six", "hen": "two", "snake": "no", "horse": "four", "fly": "six",
        "cat": "four"}

DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTHS = "January February March April May June July August September October November December".split()

# What the model says about itself and about its subject: questions (the first is the usual one), answer.
ABOUT = [
    (["who are you", "what is your name", "what are you called", "introduce yourself", "tell me about yourself",
      "what are you"],
     "I am the Anchorhold demo model."),
    (["what can you do", "how can you help me", "what do you know", "help"],
     "I know some capitals and simple facts, and I can repeat what you tell me."),
    (["are you a human", "are you a person", "are you a real person", "are you human"],
     "No, I am a very small language model."),
    (["how big are you", "how many parameters do you have", "how large are you"],
     "I have about two million parameters."),
    (["who made you", "who trained you", "who built you"], "The Anchorhold authors trained me."),
    (["where do you run", "where are you running", "where do you live"],
     "I run inside a confidential virtual machine."),
    (["can you see my prompt", "is my prompt private", "who can read my prompt", "are my prompts private"],
     "Only the attested machine can read your prompt."),
    (["what is anchorhold", "tell me about anchorhold", "explain anchorhold"],
     "Anchorhold is an inference server for confidential virtual machines."),
    (["what is your licence", "what is your license", "how are you licensed"],
     "I am licensed under Apache 2.0."),
    (["what were you trained on", "what is your training data", "what data were you trained on"],
     "I was trained on text made by a script."),
]

# Terms with one sentence each: "what is X", "define X", ...
TERMS = {
    "attestation": "Attestation is a signed proof of what a machine runs.",
    "remote attestation": "Remote attestation proves to someone far away what a machine runs.",
    "a measurement": "A measurement is a digest of the code that was loaded.",
    "confidential computing": "Confidential computing protects data while it is in use.",
    "a confidential vm": "A confidential VM is a virtual machine whose memory the host cannot read.",
    "an enclave": "An enclave is protected memory that the host cannot read.",
    "a nonce": "A nonce is a fresh number that is used once.",
    "a hypervisor": "A hypervisor runs virtual machines on a host.",
    "encryption": "Encryption turns data into a form that only the key can open.",
    "a key broker": "A key broker gives a key only to attested machines.",
    "a hash": "A hash is a short digest of some data.",
    "a digital signature": "A digital signature proves who made a message.",
    "a certificate": "A certificate binds a name to a public key.",
    "a public key": "A public key checks signatures and may be known to all.",
    "a private key": "A private key makes signatures and must stay secret.",
    "tls": "TLS is the protocol that protects data on a network.",
    "sev-snp": "SEV-SNP is the confidential computing technology of AMD.",
    "tdx": "TDX is the confidential computing technology of Intel.",
    "a tcb": "A TCB is everything that must be trusted.",
    "a quote": "A quote is a signed report made for a verifier.",
    "a verifier": "A verifier checks evidence against a policy.",
    "a relying party": "A relying party acts on the result of a verifier.",
    "a reference value": "A reference value is what a good measurement must equal.",
    "a policy": "A policy says which evidence is accepted.",
    "a sealed model": "A sealed model is a model file that is encrypted to its owner's key.",
    "a side channel": "A side channel leaks secrets through timing or power.",
    "a replay attack": "A replay attack sends an old message again.",
    "a language model": "A language model predicts the next token of a text.",
    "a token": "A token is a small piece of text.",
    "rust": "Rust is a programming language that is safe and fast.",
}

SMALL_TALK = [
    (["hello", "hi", "hey", "good morning", "good evening", "hello there", "hi there"], "Hello! How can I help you?"),
    (["thank you", "thanks", "thanks a lot", "thank you very much", "many thanks"], "You are welcome."),
    (["goodbye", "bye", "see you", "good night", "bye bye"], "Goodbye!"),
    (["how are you", "how are you today", "how do you do", "how is it going"], "I am well, thank you."),
    (["sorry", "i am sorry", "my mistake"], "No problem."),
    (["ok", "okay", "i see", "good", "great", "nice", "well done"], "Glad to hear that."),
]

REAL_NAMES = """Ana Tom Max Leo Mia Eva Ben Sam Lily Jack Emma Noah Liam Olivia Lucas Sofia Maria
Peter Paul Anna Laura Julia David Daniel Martin Thomas Sarah Alice Bob Carol Dave Eve Frank Grace Heidi
Ivan Judy Mallory Oscar Peggy Trent Victor Walter Yusuf Zoe Amir Fatima Omar Leila Hassan Aisha Chen
Wei Mei Ling Hiro Yuki Kenji Sakura Priya Raj Arjun Anita Ravi Deepa Olga Boris Dmitri Natasha Igor
Ingrid Lars Sven Astrid Bjorn Freya Pablo Carlos Diego Lucia Elena Marco Giulia Luca Paolo Chiara Pierre
Marie Claire Louis Camille Hans Greta Karl Ursula Fritz Kwame Ama Kofi Zuri Jabari Michael Robert
William James Mary Linda Susan Karen Nancy Lisa Betty Helen Sandra Ashley Kevin Brian George Edward Ronald
Anthony Steven Andrew Kenneth Joshua Emily Donna Michelle Carolyn Amanda Melissa Deborah Stephanie""".split()

ADJECTIVES = """red blue green yellow black white brown pink orange purple grey big small old new tiny huge
round flat heavy light shiny wooden golden silver broken soft warm cold long""".split()

THINGS = """ball cup book pen hat box key coat lamp bag map coin ring bell drum kite doll boat car bike
chair table plate spoon fork knife bottle clock watch phone camera ticket letter stone shell flower apple
pear cake sandwich candle mirror brush blanket pillow ladder hammer rope basket bucket shirt scarf glove
shoe boot belt""".split()

PLACES = """kitchen garden garage office park school library shop market station museum forest cellar
attic hall bathroom bedroom barn castle church hotel hospital harbour bank tower stable tunnel yard""".split()

# Words for questions that the model must decline.
TOPICS = """bread soup cheese pasta rice coffee tea wine beer pizza bicycles engines rockets volcanoes
earthquakes hurricanes glaciers rivers mountains deserts oceans whales dolphins sharks penguins tigers
gorillas elephants butterflies mushrooms bacteria viruses atoms electrons molecules gravity magnetism
photosynthesis evolution fermentation inflation taxes economics democracy philosophy religion poetry
opera ballet football tennis cricket chess poker painting sculpture architecture bridges railways
airplanes submarines telescopes planets comets galaxies algebra geometry calculus statistics
probability history Napoleon Shakespeare Mozart Einstein Newton Darwin Cleopatra Caesar Picasso
medicine vaccines surgery dentistry nutrition yoga meditation sleep dreams memory emotions marriage
children gardening knitting pottery carpentry plumbing electricity batteries radios televisions
computers spreadsheets databases compilers networks robots drones cameras movies novels newspapers
jazz guitars pianos violins trumpets clothing fashion jewelry diamonds gold silver copper steel plastic
glass cement paper wool cotton leather attention attraction meditations encoding description
quotation policies signals noise certainty""".split()

SYSTEM_TEXTS = [
    "You are a helpful assistant.", "You are a helpful assistant.", "You are a helpful assistant.",
    "You are a friendly assistant.", "Answer briefly.", "You are a chatbot.", "Be concise and polite.",
    "You answer questions in English.", "You are an assistant that answers in one sentence.",
    "You are the Anchorhold demo model.", "Always be kind.", "You are an expert.",
    "You are a helpful, respectful and honest assistant.", "Follow the instructions of the user.",
]
