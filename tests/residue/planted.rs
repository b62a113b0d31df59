//! What is planted, and all that a model makes of it.
//!
//! Why apart: texts are drawn here, and what they become is computed by the product's own engine in this process.

use std::path::Path;

use anchorhold::operator::scan::{Canaries, Canary};
use anchorhold_encoding::sha256;
use anchorhold_models::Model;
use anchorhold_tests::loaded::load;
use serde_json::json;

/// Texts that nobody has ever written before, and what becomes of them.
pub(crate) struct Planted {
    seed: String,
    drawn: usize,
    model: Model,
    canaries: Vec<Canary>,
    written: Option<Canaries>,
}

impl Planted {
    /// For the model in `folder`.
    pub(crate) fn new(folder: &Path, seed: &str) -> Self {
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap();
        Self {
            seed: format!("{} {now:?} {seed}", std::process::id()),
            drawn: 0,
            model: load(folder),
            canaries: Vec::new(),
            written: None,
        }
    }

    /// A word of 46 letters, upper and lower case, that JSON does not change.
    fn draw(&mut self) -> String {
        self.drawn += 1;
        let random = sha256(&[self.seed.as_bytes(), &self.drawn.to_be_bytes()]).to_string();
        // Letters alone: to a tokenizer it is one word.
        let letter = |digit: char| char::from(b'a' + digit.to_digit(16).unwrap() as u8);
        let random: String = random.chars().map(letter).collect();
        format!("Zq{}Wv{}Kx", &random[..20], &random[20..40])
    }

    /// Whether the model answers; else it embeds.
    pub(crate) fn answers(&self) -> bool {
        matches!(self.model, Model::Decoder(_))
    }

    /// A text that must not be found in any form.
    pub(crate) fn text(&mut self) -> String {
        let text = self.draw();
        self.canaries.push(Canary::Text(text.clone()));
        text
    }

    /// A text to be continued, of which neither tokens, logits, keys nor values must be found. Gives its tokens too.
    pub(crate) fn prompt(&mut self) -> (String, Vec<u32>) {
        let text = self.text();
        let Model::Decoder(decoder) = &self.model else {
            return (text, Vec::new());
        };
        let prompt = decoder.text_prompt(&text).unwrap();
        let trace = decoder.trace(&prompt).unwrap();
        // What is put before every text is found in every process.
        let own = trace.ids[2..].to_vec();
        self.canaries.push(Canary::Ids(own));
        self.canaries.push(Canary::Numbers(trace.hidden));
        self.canaries.push(Canary::Numbers(trace.logits));
        let pages = trace
            .pages
            .chunks(64)
            .filter(|line| line.iter().all(|byte| *byte != 0))
            .take(100);
        self.canaries
            .push(Canary::Bytes(pages.flatten().copied().collect()));
        (text, trace.ids)
    }

    /// What came back.
    pub(crate) fn answer(&mut self, text: &str) {
        self.made(Canary::Words(text.to_owned()));
    }

    /// Tokens that came back.
    pub(crate) fn ids(&mut self, ids: Vec<u32>) {
        self.made(Canary::Ids(ids));
    }

    /// What a model made is looked for where it is long enough, and says different things: chance could put the rest anywhere.
    fn made(&mut self, canary: Canary) {
        if Canaries::new(std::slice::from_ref(&canary)).is_ok() {
            self.canaries.push(canary);
        }
    }

    /// A vector that came back.
    pub(crate) fn vector(&mut self, numbers: Vec<f32>) {
        self.canaries.push(Canary::Numbers(numbers));
    }

    /// All is planted.
    pub(crate) fn done(&mut self) {
        let canaries = Canaries::new(&self.canaries).unwrap();
        assert!(canaries.forms() > 100, "{}", canaries.forms());
        self.written = Some(canaries);
    }

    pub(crate) fn canaries(&self) -> &Canaries {
        self.written.as_ref().expect("all is planted")
    }
}

/// An encoder of random weights that every clone has, with a tokenizer that knows letters and digits.
pub(crate) fn tiny_embedder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let from = anchorhold_tests::tree::root().join("tests/tiny-models/bert");
    for name in ["config.json", "model.safetensors"] {
        std::fs::copy(from.join(name), folder.path().join(name)).unwrap();
    }
    let control = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].map(str::to_owned);
    let letters = || ('a'..='z').chain('0'..='9');
    let tokens = control.iter().cloned();
    let tokens = tokens.chain(letters().map(String::from));
    let tokens = tokens.chain(letters().map(|letter| format!("##{letter}")));
    let vocab: serde_json::Map<String, serde_json::Value> =
        tokens.enumerate().map(|(id, token)| (token, id.into())).collect();
    let added = control.iter().enumerate().map(|(id, token)| {
        json!({"id": id, "content": token, "special": true, "single_word": false, "lstrip": false,
               "rstrip": false, "normalized": false})
    });
    let special = |token: &str, id: u32| json!({"id": token, "ids": [id], "tokens": [token]});
    let tokenizer = json!({
        "version": "1.0",
        "added_tokens": added.collect::<Vec<_>>(),
        "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
                       "strip_accents": null, "lowercase": true},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                       {"SpecialToken": {"id": "[SEP]", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"[CLS]": special("[CLS]", 2), "[SEP]": special("[SEP]", 3)}},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                  "max_input_chars_per_word": 100, "vocab": vocab},
    });
    std::fs::write(folder.path().join("tokenizer.json"), tokenizer.to_string()).unwrap();
    folder
}
