//! Text to token ids and back, by the model's own `tokenizer.json`.
//!
//! Why apart: here the text of users meets the model's control tokens.
//!
//! - [`control`]: control tokens are found only in what the model's owner wrote
//! - [`described`]: what a file says
//! - [`library`]: that becomes the library's tokenizer
//! - [`pieces`]: the bytes that each id stands for
//! - [`spellings`]: where one of many begins
//! - [`stream`]: bytes to text, as they come
//!
//! # Invariants
//! Text of a user never becomes a control token: the library is never allowed to find one, and the ids it
//! returns are checked. No cache keeps words of a prompt. Errors carry no text.

mod control;
pub(crate) mod described;
mod library;
mod pieces;
mod spellings;
mod stream;

use serde_json::Value;
use serde_json::error::Category;
use tokenizers::{Encoding, ModelWrapper, PreTokenizerWrapper, TruncationDirection};
use zeroize::Zeroizing;

pub(crate) use control::Marker;
use control::{Control, Controls};
use described::Described;
pub(crate) use pieces::Pieces;
pub(crate) use stream::TextStream;

use crate::limits::inference as limits;
use crate::model::error::{FileProblem, LoadError};
use crate::model::name::ShownName;

const FILE: &str = "tokenizer.json";
/// A text that every tokenizer must take, or refuse, without a panic.
const TRIAL: &str = "A text, of 2 lines\nand \u{e9}\u{4e2d}\u{1f642}";

/// Token ids, wiped when dropped.
pub(crate) type Ids = Zeroizing<Vec<u32>>;

/// Text could not be turned into tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenizeError {
    /// More bytes than are taken at once.
    TooLong,
    /// The tokenizer failed, or gave a control token for plain text.
    Failed,
}

pub(crate) struct Tokenizer {
    inner: tokenizers::Tokenizer,
    /// For pieces that do not begin a text, where the tokenizer treats these otherwise.
    following: Option<tokenizers::Tokenizer>,
    controls: Controls,
    /// The id for what the vocabulary cannot express: it is special and may come out of plain text.
    unknown: Option<u32>,
    /// One more than the highest id.
    size: usize,
}

impl Tokenizer {
    pub(crate) fn load(bytes: &[u8]) -> Result<Self, LoadError> {
        Self::of(Self::describe(bytes)?)
    }

    /// What a `tokenizer.json` says: its text is of no more use then.
    pub(crate) fn describe(bytes: &[u8]) -> Result<Described, LoadError> {
        if bytes.len() > limits::TOKENIZER_BYTES {
            return Err(refuse(FileProblem::TooLarge(limits::TOKENIZER_BYTES as u64)));
        }
        serde_json::from_slice(bytes).map_err(|error| match error.classify() {
            Category::Data => refuse(FileProblem::NotTokenizer),
            Category::Syntax | Category::Eof | Category::Io => refuse(FileProblem::NotJson),
        })
    }

    /// Out of what a `tokenizer.json` would say.
    pub(crate) fn of(mut described: Described) -> Result<Self, LoadError> {
        let unusable = || refuse(FileProblem::NotTokenizer);
        let controls = Controls::read(&mut described.members).ok_or_else(unusable)?;
        guarded(|| Self::build(described, controls)).ok_or_else(unusable)?
    }

    fn build(described: Described, mut controls: Controls) -> Result<Self, LoadError> {
        let unusable = || refuse(FileProblem::NotTokenizer);
        let (mut inner, size) = library::read(described).ok_or_else(unusable)?;
        inner.with_padding(None);
        inner.with_truncation(None).map_err(|_| unusable())?;
        inner.set_encode_special_tokens(true);
        controls
            .renumber(|token| inner.token_to_id(token))
            .ok_or_else(unusable)?;
        // Some files panic only here; what this gives does not matter.
        let _ = inner.encode_fast(TRIAL, true);

        let following = following(&inner).ok_or_else(unusable)?;
        let unknown = match inner.get_model() {
            ModelWrapper::BPE(model) => model.get_unk_token().clone(),
            ModelWrapper::WordPiece(model) => Some(model.unk_token.clone()),
            ModelWrapper::WordLevel(model) => Some(model.unk_token.clone()),
            ModelWrapper::Unigram(_) => Some("<unk>".to_owned()),
        };
        let unknown = unknown.and_then(|token| inner.token_to_id(&token));
        Ok(Self {
            inner,
            following,
            controls,
            unknown,
            size,
        })
    }

    /// One more than the highest id.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// The id of a token, control tokens included.
    pub(crate) fn id(&self, token: &str) -> Option<u32> {
        self.controls.id(token).or_else(|| self.inner.token_to_id(token))
    }

    /// The id of a control token that is not shown in answers.
    pub(crate) fn hidden(&self, token: &str) -> Option<u32> {
        self.controls.id(token).filter(|id| self.controls.is_hidden(*id))
    }

    /// Whether each id stands for the token that is listed under it.
    pub(crate) fn lists<'a>(&self, tokens: impl Iterator<Item = &'a str>) -> bool {
        let is = |(id, token): (u32, &str)| {
            self.inner.id_to_token(id).as_deref() == Some(token) && self.id(token) == Some(id)
        };
        (0u32..).zip(tokens).all(is)
    }

    /// The table for turning ids back into text.
    pub(crate) fn pieces(&self) -> Result<Pieces, LoadError> {
        Pieces::read(&self.inner, self.size, &self.controls)
    }

    /// Tokens of a user's text with what the tokenizer puts around a text (such as a token for its begin).
    pub(crate) fn encode_text(&self, text: &str) -> Result<Ids, TokenizeError> {
        self.encode_text_up_to(text, usize::MAX).map(|(ids, _)| ids)
    }

    /// As [`Self::encode_text`], cut on the right to at most `most` tokens in all. Also returns how many
    /// there would have been.
    pub(crate) fn encode_text_up_to(&self, text: &str, most: usize) -> Result<(Ids, usize), TokenizeError> {
        if text.len() > limits::TEXT_BYTES {
            return Err(TokenizeError::TooLong);
        }
        let failed = |_| TokenizeError::Failed;
        let mut encoding = self.encode(&self.inner, text)?;
        self.check_plain(encoding.get_ids())?;
        let around = self
            .inner
            .post_process(encoding.clone(), None, true)
            .map_err(failed)?
            .len();
        let added = around.saturating_sub(encoding.len());
        if around > most {
            encoding.truncate(most.saturating_sub(added), 0, TruncationDirection::Right);
        }
        let encoding = self.inner.post_process(encoding, None, true).map_err(failed)?;
        Ok((Zeroizing::new(encoding.get_ids().to_vec()), around))
    }

    /// Tokens of what a template rendered: its control tokens count, those protected by `marker` do not.
    pub(crate) fn encode_rendered(&self, text: &str, marker: &Marker) -> Result<Ids, TokenizeError> {
        if text.len() > limits::RENDERED_BYTES {
            return Err(TokenizeError::TooLong);
        }
        let mut ids: Ids = Zeroizing::new(Vec::new());
        let mut first = true;
        self.controls.split(text, marker, |plain, control| {
            if !plain.is_empty() {
                self.encode_plain(plain, first, &mut ids)?;
            }
            ids.extend(control.map(Control::id));
            first = false;
            Ok(())
        })?;
        Ok(ids)
    }

    /// Protects every control token in a user's text. See [`control`].
    pub(crate) fn mark(&self, text: &str, marker: &Marker) -> Zeroizing<String> {
        self.controls.mark(text, marker)
    }

    fn encode_plain(&self, text: &str, first: bool, into: &mut Ids) -> Result<(), TokenizeError> {
        let tokenizer = if first {
            &self.inner
        } else {
            self.following.as_ref().unwrap_or(&self.inner)
        };
        let encoding = self.encode(tokenizer, text)?;
        self.check_plain(encoding.get_ids())?;
        into.extend_from_slice(encoding.get_ids());
        Ok(())
    }

    fn encode(&self, tokenizer: &tokenizers::Tokenizer, text: &str) -> Result<Encoding, TokenizeError> {
        guarded(|| tokenizer.encode_fast(text, false))
            .and_then(Result::ok)
            .ok_or(TokenizeError::Failed)
    }

    fn check_plain(&self, ids: &[u32]) -> Result<(), TokenizeError> {
        let control = |id: &u32| self.controls.has_id(*id) && Some(*id) != self.unknown;
        if ids.iter().any(control) {
            Err(TokenizeError::Failed)
        } else {
            Ok(())
        }
    }
}

/// The library panics on some files, and with some files perhaps on some texts. `None` then: a file of the
/// model's owner, or a text, ends neither the program nor the thread that owns the model.
fn guarded<T>(work: impl FnOnce() -> T) -> Option<T> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).ok()
}

fn refuse(problem: FileProblem) -> LoadError {
    LoadError::File {
        file: ShownName::new(FILE),
        problem,
    }
}

/// A Metaspace pre-tokenizer may put its space before the first piece of a text only.
/// `None` when the tokenizer cannot be rewritten.
fn following(tokenizer: &tokenizers::Tokenizer) -> Option<Option<tokenizers::Tokenizer>> {
    let Some(pre_tokenizer) = tokenizer.get_pre_tokenizer() else {
        return Some(None);
    };
    let mut json = serde_json::to_value(pre_tokenizer).ok()?;
    if !stop_prepending(&mut json) {
        return Some(None);
    }
    let changed: PreTokenizerWrapper = serde_json::from_value(json).ok()?;
    let mut following = tokenizer.clone();
    following.with_pre_tokenizer(Some(changed));
    Some(Some(following))
}

fn stop_prepending(pre_tokenizer: &mut Value) -> bool {
    let mut changed = false;
    if let Some(scheme) = pre_tokenizer.get_mut("prepend_scheme")
        && scheme == "first"
    {
        *scheme = Value::from("never");
        changed = true;
    }
    for inner in pre_tokenizer
        .get_mut("pretokenizers")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        changed |= stop_prepending(inner);
    }
    changed
}

#[cfg(test)]
pub(crate) mod tests;
