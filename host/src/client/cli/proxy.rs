//! `client proxy`: opens the proxy, says where it is, serves until a signal.
//!
//! # Invariants
//! The token is shown once, on standard output, or written to a new file of mode 0600 that goes with the proxy.

use std::path::Path;
use std::sync::Arc;

use serde::Serialize;
use zeroize::Zeroizing;

use super::tokenise::Tokenise;
use super::{Whom, With, warn_of_class};
use crate::client::proxy::access::Access;
use crate::client::proxy::listen::Place;
use crate::client::proxy::{Proxy, ProxyError, Settings};
use crate::error::{Exit, Failure};
use crate::output::Output;
use crate::{secret_file, stop};

#[derive(Serialize)]
struct Listening<'a> {
    listening: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    base_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
}

/// Serves until SIGTERM or SIGINT.
pub(super) async fn run(
    whom: &Whom,
    with: &With,
    place: Place,
    token_file: Option<&Path>,
    tokenise: &Tokenise,
    output: &Output,
) -> Result<Exit, Failure> {
    if let (Place::Unix(_), Some(_)) = (&place, token_file) {
        return Err(Failure::usage(
            "token_file",
            "a Unix socket has no token to write to --token-file",
            "leave --token-file out, or listen at 127.0.0.1:PORT",
        ));
    }
    let enclave = whom.enclave(with)?;
    // Before anything listens, so that no signal finds the default handler.
    let stop = stop::on_signal()?;
    let talk = *output;
    let socket = match &place {
        Place::Unix(path) => Some(path.display().to_string()),
        Place::Loopback(_) => None,
    };
    let settings = Settings {
        enclave: Arc::clone(&enclave),
        place,
        api_key: with.api_key()?,
        keeper: with.keeper()?,
        tokens: tokenise.tokens(&enclave, output).await?,
        notices: Arc::new(move |line| talk.talk(&format!("proxy: {line}"))),
    };
    let proxy = Proxy::open(settings).await.map_err(|error| match error {
        ProxyError::Enclave(error) => Failure::from(error),
        ProxyError::Listen(kind) => Failure::new(
            "listen",
            format!("cannot listen: {kind}"),
            "choose another place with --listen; 127.0.0.1:0 takes any free port",
        ),
    })?;
    warn_of_class(enclave.affirmed().await?.identity.class(), output);

    let mut token_kept = None;
    let listening = match proxy.access() {
        Access::Owner => Listening {
            listening: format!("unix:{}", socket.unwrap_or_default()),
            base_url: None,
            token: None,
        },
        Access::Loopback { port, token } => {
            let mut shown = Some(token.reveal());
            if let Some(path) = token_file {
                let line = Zeroizing::new(format!("{}\n", token.reveal()));
                let written = secret_file::create_for_now(path, line.as_bytes()).map_err(|error| {
                    Failure::new(
                        "token_file",
                        format!("cannot write {}: {}", path.display(), error.kind()),
                        "name a new file in a folder that you may write to; one that a killed proxy left can go",
                    )
                })?;
                token_kept = Some(written);
                shown = None;
            }
            Listening {
                listening: format!("127.0.0.1:{port}"),
                base_url: Some(format!("http://127.0.0.1:{port}/v1")),
                token: shown,
            }
        }
    };
    output.data(&listening, || {
        let mut text = format!("listening {}", listening.listening);
        if let Some(url) = &listening.base_url {
            text.push_str(&format!("\nOPENAI_BASE_URL={url}"));
        }
        if let Some(token) = listening.token {
            text.push_str(&format!("\nOPENAI_API_KEY={token}"));
        }
        text
    })?;
    proxy.serve(stop).await;
    // The next proxy has another token.
    drop(token_kept);
    Ok(Exit::Yes)
}
