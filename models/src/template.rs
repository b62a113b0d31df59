//! Chat templates: a model's own Jinja text that turns a conversation into a prompt.
//!
//! Why apart: it is a program of the model's owner that is run on the texts of users.
//!
//! The settings are those of transformers: blocks are trimmed, `raise_exception` and `tojson` are there,
//! `{% generation %}` only marks. Differences: `strftime_now` is not defined, since the enclave has no clock
//! to trust (templates that ask whether it is defined fall back to their own date), and a backslash before a
//! line end inside a string literal is kept.
//!
//! # Invariants
//! Instructions and output are bounded; a value that is never rendered is not, since the library has no bound
//! for it. Errors carry no text, neither the template's nor a user's.

mod json;
mod source;

use std::io;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Value};
use minijinja::{Environment, Error, ErrorKind};
use zeroize::Zeroizing;

pub(crate) use source::TemplateSource;

use crate::limits::inference as limits;

const NAME: &str = "chat";
/// Detail of the error by which a template refuses; only compared, never shown.
const RAISED: &str = "raised by the template";

/// A compiled chat template.
pub(crate) struct Template {
    environment: Environment<'static>,
}

/// A template did not render a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TemplateError {
    /// The template itself refused it, as some do when roles do not alternate.
    Refused,
    /// It took too many instructions or rendered too much.
    TooMuch,
    /// It failed in any other way.
    Failed,
}

impl Template {
    /// Compiles a template. `None` when it is not one.
    pub(crate) fn compile(source: &str) -> Option<Self> {
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build()
            .ok()?;
        environment.set_syntax(syntax);
        environment.set_fuel(Some(limits::TEMPLATE_FUEL));
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        environment.add_filter("tojson", to_json);
        // Python's None cannot be iterated over; here it can, and templates ask whether `tools` can.
        environment.add_test("iterable", |value: &Value| {
            !value.is_none() && value.try_iter().is_ok()
        });
        environment.add_function("raise_exception", |_message: Value| -> Result<Value, Error> {
            Err(Error::new(ErrorKind::InvalidOperation, RAISED))
        });
        environment
            .add_template_owned(NAME, source::without_generation_marks(source))
            .ok()?;
        Some(Self { environment })
    }

    /// Renders with the given variables.
    pub(crate) fn render(&self, variables: Value) -> Result<Zeroizing<String>, TemplateError> {
        let template = self
            .environment
            .get_template(NAME)
            .map_err(|_| TemplateError::Failed)?;
        let mut output = Output(Zeroizing::new(Vec::new()));
        let rendered = template.render_captured_to(variables, &mut output).map(drop);
        rendered.map_err(|error| cause(&error))?;
        let text = String::from_utf8(std::mem::take(&mut *output.0)).map_err(|_| TemplateError::Failed)?;
        Ok(Zeroizing::new(text))
    }
}

/// What a template renders, up to the limit: a loop could fill the memory long before its fuel ends.
struct Output(Zeroizing<Vec<u8>>);

impl io::Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() > limits::RENDERED_BYTES - self.0.len() {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn cause(error: &Error) -> TemplateError {
    let mut error = Some(error);
    while let Some(current) = error {
        if matches!(current.kind(), ErrorKind::OutOfFuel | ErrorKind::WriteFailure) {
            return TemplateError::TooMuch;
        }
        if current.detail() == Some(RAISED) {
            return TemplateError::Refused;
        }
        error = std::error::Error::source(current).and_then(|source| source.downcast_ref());
    }
    TemplateError::Failed
}

/// `tojson` as transformers defines it: Python's `json.dumps` without escaping for HTML.
fn to_json(value: &Value, options: Kwargs) -> Result<String, Error> {
    let indent: Option<usize> = options.get("indent")?;
    // The others keep their defaults in every published template that names them.
    let ascii: Option<bool> = options.get("ensure_ascii")?;
    options.assert_all_used()?;
    let indent = indent.filter(|indent| *indent <= 16);
    json::write(value, indent, ascii.unwrap_or(false))
        .ok_or_else(|| Error::new(ErrorKind::BadSerialization, "not JSON"))
}

#[cfg(test)]
mod tests;
