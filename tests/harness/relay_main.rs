//! `anchorhold-relay UPSTREAM TRICK`: the attacker of [`anchorhold_tests::relay`] as a program, for the demo.
//!
//! Prints the address it listens on, then runs until it is killed.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for people; it handles no secret"
)]

use anchorhold_tests::relay;

fn main() -> std::process::ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let parsed = match arguments.as_slice() {
        [upstream, trick] => upstream.parse().ok().zip(relay::Trick::named(trick)),
        _ => None,
    };
    let Some((upstream, trick)) = parsed else {
        eprintln!(
            "usage: anchorhold-relay ADDRESS:PORT terminate|flip-evidence|replay-evidence|swap-identity"
        );
        return std::process::ExitCode::from(2);
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let relay = relay::start(upstream, trick).await;
        println!("{}", relay.address);
        std::future::pending::<()>().await;
    });
    std::process::ExitCode::SUCCESS
}
