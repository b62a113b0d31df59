//! `client ask` and `client chat`.
//!
//! # Invariants
//! Text on a terminal has no control characters. When an answer turns out unproven after its text was shown, the
//! command fails with exit status 3 and says so.

use std::io::{self, BufRead, IsTerminal as _, Read as _};

use serde::Serialize;
use tokio::sync::mpsc;
use zeroize::Zeroizing;

use super::{Talk, warn_of_class};
use crate::client::ask::{Answered, Asker, Drawing, Message, Role, printable};
use crate::client::kept::Keeper;
use crate::client::limits::CHAT_LINE_BYTES;
use crate::error::{Exit, Failure};
use crate::output::Output;

#[derive(Serialize)]
struct AnswerResult<'a> {
    answer: &'a str,
    finish_reason: Option<&'static str>,
    receipt: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    kept: Option<String>,
}

struct Conversation<'a> {
    asker: Asker,
    keeper: Option<Keeper>,
    messages: Vec<Message>,
    output: &'a Output,
    to_terminal: bool,
}

impl<'a> Conversation<'a> {
    /// Verifies the enclave before anything is asked.
    async fn open(talk: &Talk, output: &'a Output) -> Result<Self, Failure> {
        let format = talk.format()?;
        let asker = Asker {
            enclave: talk.whom.enclave(&talk.with)?,
            api_key: talk.with.api_key()?,
            model: talk.model.clone(),
            drawing: Drawing {
                temperature: talk.temperature,
                seed: talk.seed,
            },
            format,
        };
        let keeper = talk.with.keeper()?;
        warn_of_class(asker.enclave.affirmed().await?.identity.class(), output);
        let system = talk
            .system
            .iter()
            .map(|text| Message::new(Role::System, text.clone()));
        Ok(Self {
            asker,
            keeper,
            messages: system.collect(),
            output,
            to_terminal: io::stdout().is_terminal(),
        })
    }

    /// One question and its answer, shown as it comes or, with JSON, when it is proven.
    async fn turn(&mut self, question: Zeroizing<String>) -> Result<(), Failure> {
        self.messages.push(Message {
            role: Role::User,
            content: question,
        });
        let (output, to_terminal) = (self.output, self.to_terminal);
        let (mut shown, mut any) = (Ok(()), false);
        let show = |text: &str| {
            if output.is_json() || shown.is_err() {
                return;
            }
            any = true;
            shown = if to_terminal {
                output.bytes(printable(text).as_bytes())
            } else {
                output.bytes(text.as_bytes())
            };
        };
        let answered = self.asker.ask(&self.messages, show).await;
        shown?;
        if !output.is_json() && (any || answered.is_ok()) {
            output.bytes(b"\n")?;
        }
        let Answered {
            text,
            finish_reason,
            receipt,
        } = answered.inspect_err(|_| {
            if any {
                output.talk("the text above is NOT proven to be the enclave's answer");
            }
        })?;
        let name = receipt.short_name();
        let kept = match &self.keeper {
            None => None,
            Some(keeper) => Some(keeper.keep(receipt).await.map_err(|error| {
                Failure::new(
                    "keep_receipts",
                    format!("the receipt could not be kept: {}", error.kind()),
                    "check the folder of --keep-receipts and the space on its disk",
                )
            })?),
        };
        let kept = kept.map(|path| path.display().to_string());
        if output.is_json() {
            let result = AnswerResult {
                answer: &text,
                finish_reason,
                receipt: name,
                kept,
            };
            output.data(&result, String::new)?;
        } else {
            let kept = kept.map(|path| format!(", kept as {path}")).unwrap_or_default();
            output.talk(&format!("[receipt {name} holds{kept}]"));
        }
        self.messages.push(Message {
            role: Role::Assistant,
            content: text,
        });
        Ok(())
    }
}

/// One question.
pub(super) async fn ask(talk: &Talk, question: String, output: &Output) -> Result<Exit, Failure> {
    let question = Zeroizing::new(question);
    let question = if *question == "-" {
        whole_input()?
    } else {
        question
    };
    Conversation::open(talk, output).await?.turn(question).await?;
    Ok(Exit::Yes)
}

/// Questions, one a line, until the end of standard input or `/quit`.
pub(super) async fn chat(talk: &Talk, output: &Output) -> Result<Exit, Failure> {
    let mut conversation = Conversation::open(talk, output).await?;
    let watched = io::stdin().is_terminal();
    if watched {
        output.talk("verified; each line is a question, /quit or Ctrl-D ends");
    }
    let mut lines = lines();
    loop {
        if watched {
            output.talk("> ");
        }
        let Some(line) = lines.recv().await else {
            return Ok(Exit::Yes);
        };
        let line = line?;
        match line.trim() {
            "" => {}
            "/quit" => return Ok(Exit::Yes),
            question => conversation.turn(Zeroizing::new(question.to_owned())).await?,
        }
    }
}

fn input_failure(what: impl std::fmt::Display) -> Failure {
    Failure::new(
        "input",
        format!("cannot read standard input: {what}"),
        "give text in UTF-8, at most 1 MiB",
    )
}

fn text(bytes: Vec<u8>) -> Result<Zeroizing<String>, Failure> {
    let mut bytes = Zeroizing::new(bytes);
    if bytes.len() > CHAT_LINE_BYTES {
        return Err(input_failure("it is too long"));
    }
    // Moved, so that no copy stays behind; bytes that are no text are wiped in the error.
    String::from_utf8(std::mem::take(&mut *bytes))
        .map(Zeroizing::new)
        .map_err(|error| {
            drop(Zeroizing::new(error.into_bytes()));
            input_failure("it is not UTF-8")
        })
}

fn whole_input() -> Result<Zeroizing<String>, Failure> {
    // Room for everything, so that the text never moves.
    let mut bytes = Vec::with_capacity(CHAT_LINE_BYTES + 1);
    let read = io::stdin()
        .lock()
        .take(CHAT_LINE_BYTES as u64 + 1)
        .read_to_end(&mut bytes);
    read.map_err(|error| input_failure(error.kind()))?;
    text(bytes)
}

/// Lines of standard input, read by a thread that may block on a terminal for as long as it likes.
fn lines() -> mpsc::Receiver<Result<Zeroizing<String>, Failure>> {
    let (sender, receiver) = mpsc::channel(1);
    std::thread::spawn(move || {
        let mut input = io::stdin().lock();
        loop {
            let mut bytes = Vec::with_capacity(CHAT_LINE_BYTES + 1);
            let read = input
                .by_ref()
                .take(CHAT_LINE_BYTES as u64 + 1)
                .read_until(b'\n', &mut bytes);
            let line = match read {
                Ok(0) => return,
                Ok(_) => text(bytes),
                Err(error) => Err(input_failure(error.kind())),
            };
            let last = line.is_err();
            if sender.blocking_send(line).is_err() || last {
                return;
            }
        }
    });
    receiver
}
