//! `owner broker`: runs the broker until SIGTERM or SIGINT.
//!
//! Why apart: the only command that stays; tests run the broker without it.
//!
//! # Invariants
//! One line of data when it listens; decisions go to standard error, a denial with every reason.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anchorhold_attestation::Class;
use anchorhold_encoding::Digest;
use serde::Serialize;
use tokio::net::TcpListener;

use super::StoreArguments;
use crate::clock::Clock;
use crate::error::{Exit, Explain, Failure};
use crate::output::{Output, denial_table};
use crate::owner::broker::config::BrokerConfig;
use crate::owner::broker::{Broker, BrokerError, Notice, serve};
use crate::stop;

#[derive(Serialize)]
struct ListeningDocument {
    listening: SocketAddr,
    class: Class,
    tls_spki_sha256: Digest<32>,
    release_key: Digest<32>,
    resources: Vec<String>,
}

pub(super) async fn run(store: &StoreArguments, config: &Path, output: &Output) -> Result<Exit, Failure> {
    let stop = stop::on_signal()?;
    let store = store.open()?;
    let class = store.class();
    let base = config.parent().unwrap_or(Path::new("."));
    let config = BrokerConfig::read(config).map_err(BrokerError::from)?;
    let resources = config
        .resources()
        .iter()
        .map(|resource| resource.path.to_string())
        .collect();
    let address = config.listen();
    let words = *output;
    let observer = Arc::new(move |notice: Notice| words.talk(&told(&notice)));
    let broker = Broker::new(store, config, base, Clock::system(), observer)?;
    for path in broker.accepting_simulated() {
        output.talk(&format!(
            "warning: the policy of {path} accepts simulated evidence: its key is protected from nobody"
        ));
    }
    let listener = TcpListener::bind(address)
        .await
        .map_err(|error| BrokerError::Listen(error.kind()))?;
    let listening = listener
        .local_addr()
        .map_err(|error| BrokerError::Listen(error.kind()))?;
    let identity = broker.identity();
    let document = ListeningDocument {
        listening,
        class,
        tls_spki_sha256: identity.tls_spki_sha256,
        release_key: identity.release_key,
        resources,
    };
    output.data(&document, || {
        format!(
            "listening on {listening}, class {class}\ntls_spki_sha256 = \"{}\"\nrelease_key = \"{}\"",
            identity.tls_spki_sha256, identity.release_key
        )
    })?;
    serve(listener, Arc::new(broker), stop).await?;
    output.talk("broker stopped");
    Ok(Exit::Yes)
}

fn told(notice: &Notice) -> String {
    match notice {
        Notice::Granted {
            resource,
            key_id,
            sequence,
        } => format!("granted: key {key_id} for {resource} (log entry {sequence})"),
        Notice::Denied { resource, rules } => {
            format!("denied: {resource}\n{}", denial_table(rules).trim_end())
        }
        Notice::Failed(error) => format!("error: {error}\nhint: {}", error.hint()),
    }
}
