//! The command line: one subcommand a role, one enum of commands in each role's own `cli.rs`.
//!
//! Why apart: roles do not know one another; only this file names all four.
//!
//! # Invariants
//! Exit status 0 yes, 1 error, 2 usage, 3 denied. Every failure goes out through [`Output::failure`].

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};

use crate::error::{Exit, Failure};
use crate::output::{Format, Output};
use crate::{client, operator, owner, publisher};

/// Confidential inference: seal models, release their keys, verify enclaves, talk to them.
#[derive(Parser)]
#[command(
    name = "anchorhold",
    version,
    after_help = "Exit status: 0 yes, 1 error, 2 wrong usage, 3 denied by a policy."
)]
struct Arguments {
    /// Print data and errors as JSON on standard output
    #[arg(long, global = true)]
    json: bool,

    #[command(subcommand)]
    role: Role,
}

#[derive(Subcommand)]
enum Role {
    /// Own a model: seal it, keep its key, release the key to enclaves that a policy affirms
    #[command(subcommand)]
    Owner(owner::cli::OwnerCommand),
    /// Use a model: verify the enclave that serves it, then ask
    #[command(subcommand)]
    Client(Box<client::cli::ClientCommand>),
    /// Run enclaves, without being trusted
    #[command(subcommand)]
    Operator(operator::cli::OperatorCommand),
    /// Publish the reference values of an enclave
    #[command(subcommand)]
    Publisher(publisher::cli::PublisherCommand),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        #[arg(value_enum)]
        shell: Shell,
    },
}

/// The shells with a completion script.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// Runs one command line, program name first. The whole of `main`.
#[must_use]
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    // Also where the rest does not parse: a script that asked for JSON gets its error as JSON.
    let format = if asks_for_json(&arguments) {
        Format::Json
    } else {
        Format::Text
    };
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(usage) => {
            // Help and version are answers, on standard output with status 0; anything else is usage.
            let exit = if usage.use_stderr() {
                Exit::Usage
            } else {
                Exit::Yes
            };
            let printed = usage.print();
            if exit == Exit::Usage {
                Output::new(format).failure_document(&misused(&usage));
            }
            return if printed.is_ok() {
                exit.code()
            } else {
                Exit::Error.code()
            };
        }
    };
    let output = Output::new(if arguments.json {
        Format::Json
    } else {
        Format::Text
    });
    match dispatch(arguments.role, &output) {
        Ok(exit) => exit.code(),
        Err(failure) => {
            output.failure(&failure);
            failure.exit().code()
        }
    }
}

/// True when `--json` is among the options: before a `--`, after which nothing is one.
fn asks_for_json(arguments: &[OsString]) -> bool {
    arguments
        .iter()
        .take_while(|argument| *argument != "--")
        .any(|argument| argument == "--json")
}

/// What the argument parser found, without the help it prints below.
fn misused(usage: &clap::Error) -> Failure {
    let message = match usage.kind() {
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => "a command is missing".to_owned(),
        _ => {
            let text = usage.to_string();
            let reason: Vec<&str> = text
                .lines()
                .take_while(|line| !line.is_empty())
                .map(str::trim)
                .collect();
            reason.join(" ").trim_start_matches("error: ").to_owned()
        }
    };
    Failure::usage("usage", message, "see what the command takes: --help")
}

fn dispatch(role: Role, output: &Output) -> Result<Exit, Failure> {
    if let Role::Completions { shell } = role {
        return completions(shell, output);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| {
            Failure::new(
                "runtime",
                format!("cannot start the runtime: {}", error.kind()),
                "check the limits on threads and open files (ulimit -a)",
            )
        })?;
    runtime.block_on(async {
        match role {
            Role::Owner(command) => owner::cli::run(command, output).await,
            Role::Client(command) => client::cli::run(*command, output).await,
            Role::Operator(command) => operator::cli::run(command, output).await,
            Role::Publisher(command) => publisher::cli::run(command, output),
            Role::Completions { .. } => unreachable!("answered above"),
        }
    })
}

fn completions(shell: Shell, output: &Output) -> Result<Exit, Failure> {
    let shell = match shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "anchorhold", &mut script);
    output.bytes(&script)?;
    Ok(Exit::Yes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn wrong_usage_is_two_and_help_is_zero() {
        let status = |arguments: &[&str]| format!("{:?}", run(arguments.iter().map(OsString::from)));
        assert_eq!(
            status(&["anchorhold", "owner", "no-such"]),
            format!("{:?}", ExitCode::from(2))
        );
        assert_eq!(
            status(&["anchorhold", "--version"]),
            format!("{:?}", ExitCode::from(0))
        );
    }
}
