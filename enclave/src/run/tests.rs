//! The whole life in one process: a sealed model of the tests, a broker of our own, a client by hand.

mod client;

use std::future::pending;
use std::path::Path;
use std::time::Duration;

use anchorhold_attestation::LeaseTerms;
use anchorhold_attestation::simulated::LaunchRecord;
use anchorhold_encoding::{Digest, sha256};
use anchorhold_models::{Class, ModelKey, SealOptions, seal_dir};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use self::client::Client;
use super::*;
use crate::rcar::tests::broker::{Broker, Fault, Offer};

/// What is different from the working case.
struct World {
    fault: Fault,
    lease: LeaseTerms,
    sessions: usize,
    /// A change of the configuration, after it was completed.
    edit: fn(String) -> String,
}

impl Default for World {
    fn default() -> Self {
        Self {
            fault: Fault::None,
            lease: LeaseTerms {
                seconds: 3600,
                tokens: 0,
            },
            sessions: usize::MAX,
            edit: |text| text,
        }
    }
}

/// An enclave that was started, and how to stop it.
struct Started {
    life: JoinHandle<RunOutcome>,
    listening: oneshot::Receiver<Listening>,
    stop: oneshot::Sender<()>,
    _folder: tempfile::TempDir,
    _broker: Broker,
}

/// One token for each byte: enough for a model that was never taught anything.
fn tokenizer() -> String {
    let printable = |byte: u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    let mut others = 0x100..;
    let vocabulary: serde_json::Map<_, _> = (0..=255u8)
        .map(|byte| {
            let letter = if printable(byte) {
                char::from(byte)
            } else {
                others.next().and_then(char::from_u32).unwrap()
            };
            (letter.to_string(), byte.into())
        })
        .collect();
    let bytes = serde_json::json!({
        "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true,
    });
    serde_json::json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
        "pre_tokenizer": bytes, "post_processor": null, "decoder": bytes,
        "model": {
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false,
            "vocab": vocabulary, "merges": [],
        },
    })
    .to_string()
}

/// Seals the tiny Llama of the tests.
fn seal(folder: &Path, key: &ModelKey) -> Digest<32> {
    let tiny = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/tiny-models/llama");
    let model = folder.join("model");
    std::fs::create_dir(&model).unwrap();
    for file in ["config.json", "model.safetensors"] {
        std::fs::copy(tiny.join(file), model.join(file)).unwrap();
    }
    std::fs::write(model.join("tokenizer.json"), tokenizer()).unwrap();
    let options = SealOptions {
        key_id: "demo".parse().unwrap(),
        class: Class::Insecure,
        name: "demo".parse().unwrap(),
        private_name: false,
    };
    let sealed = folder.join("model.sealed");
    seal_dir(&model, &sealed, key, &options, &())
        .unwrap()
        .manifest_sha256
}

/// The whole life, as `main` has it.
async fn from_start(
    input: Vec<u8>,
    shutdown: impl Future<Output = ()>,
    listening: impl FnOnce(Listening),
) -> RunOutcome {
    match super::start(std::io::Cursor::new(input)) {
        Ok(restricted) => run(restricted, shutdown, listening).await,
        Err(outcome) => outcome,
    }
}

async fn start(world: World) -> Started {
    let folder = tempfile::tempdir().unwrap();
    let key = ModelKey::generate();
    let manifest = seal(folder.path(), &key);
    let broker = Broker::offering(Offer {
        fault: world.fault,
        key,
        manifest,
        lease: world.lease,
        sessions: world.sessions,
    })
    .await;
    let sealed = folder.path().join("model.sealed");
    let text = broker
        .configuration()
        .replace("/nowhere/model.sealed", sealed.to_str().unwrap());
    let text = (world.edit)(text);
    let launch = LaunchRecord {
        measurement: Digest::new([1; 48]),
        host_data: sha256(&[text.as_bytes()]),
    };
    let input = [launch.encode(), text.into_bytes()].concat();
    let (announce, listening) = oneshot::channel();
    let (stop, stopped) = oneshot::channel::<()>();
    let shutdown = async {
        if stopped.await.is_err() {
            pending::<()>().await;
        }
    };
    let life = tokio::spawn(from_start(input, shutdown, |addresses| {
        let _ = announce.send(addresses);
    }));
    Started {
        life,
        listening,
        stop,
        _folder: folder,
        _broker: broker,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn from_configuration_to_answer_to_drained() {
    let started = start(World {
        edit: |text| format!("{text}metrics = \"127.0.0.1:0\"\n"),
        ..World::default()
    })
    .await;
    let listening = started.listening.await.unwrap();
    assert!(listening.metrics.is_some());

    let mut client = Client::connect(listening.api).await;
    assert_eq!(client.get("/healthz").await.status, 200);
    for path in [
        "/v1/models",
        "/",
        "/metrics",
        "/healthz/",
        "//healthz",
        "/%68ealthz",
    ] {
        // Such an answer closes its connection: what follows on it is not looked at.
        let answer = Client::connect(listening.api).await.get(path).await;
        assert_eq!(answer.status, 403, "{path} on a connection nobody has bound");
        assert!(answer.body.contains("channel_not_bound"));
    }
    for query in ["", "?nonce=", "?nonce=00", "?x=1"] {
        let path = format!("/.well-known/anchorhold/attestation{query}");
        assert_eq!(client.get(&path).await.status, 400, "{query}");
    }
    let identity = client.attest().await;
    assert_eq!(identity.tls_spki_sha256, client.spki_sha256);
    assert!(
        client.bind(&identity, [1; 32]).await,
        "the signature is over this connection's exporter"
    );
    assert!(client.bind(&identity, [1; 32]).await);
    assert_eq!(client.try_bind([2; 32]).await.status, 409);

    let body = r#"{"model":"demo","prompt":"hello","max_tokens":5,"temperature":0}"#;
    let answer = client.post("/v1/completions", body).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(answer.head.contains("anchorhold-receipt: "));

    // A signature for one connection says nothing about another.
    let mut second = Client::connect(listening.api).await;
    assert_eq!(second.post("/v1/completions", body).await.status, 403);

    started.stop.send(()).unwrap();
    assert_eq!(started.life.await.unwrap(), RunOutcome::Drained);
}

/// Status and body of a request in clear.
async fn plain(address: std::net::SocketAddr, method: &str, path: &str, body: &[u8]) -> (String, String) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(&[head.as_bytes(), body].concat()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head[9..12].to_owned(), body.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_operator_brings_is_stapled_for_clients_and_nothing_else() {
    let started = start(World {
        edit: |text| format!("{text}metrics = \"127.0.0.1:0\"\n"),
        ..World::default()
    })
    .await;
    let listening = started.listening.await.unwrap();
    let operator = listening.metrics.unwrap();
    let kind = anchorhold_attestation::EndorsementKind::AmdCrl;
    let item = anchorhold_attestation::Endorsement::new(kind, b"opaque".to_vec()).unwrap();
    let all = anchorhold_attestation::Endorsements::new(vec![item]).unwrap();
    let path = format!(
        "/.well-known/anchorhold/attestation?nonce={}",
        Digest::new([3; 32])
    );
    let mut client = Client::connect(listening.api).await;
    let stapled = |body: &str| {
        let document = anchorhold_attestation::AttestationDocument::from_json(body.as_bytes()).unwrap();
        anchorhold_attestation::Endorsements::from_stapled(&document.endorsements).unwrap()
    };
    assert!(stapled(&client.get(&path).await.body).items().is_empty());
    let (status, body) = plain(operator, "PUT", "/endorsements", &all.to_bundle()).await;
    assert_eq!((status.as_str(), body.as_str()), ("200", "{\"items\":1}"));
    assert_eq!(stapled(&client.get(&path).await.body), all);
    let (status, _) = plain(operator, "PUT", "/endorsements", b"{}").await;
    assert_eq!(status, "400");
    assert_eq!(stapled(&client.get(&path).await.body), all);
    for method in ["GET", "POST", "DELETE"] {
        assert_eq!(
            plain(operator, method, "/endorsements", b"").await.0,
            "405",
            "{method}"
        );
    }
    // Not at the door of clients.
    let other = Client::connect(listening.api).await.get("/endorsements").await;
    assert_eq!(other.status, 403);
    started.stop.send(()).unwrap();
    assert_eq!(started.life.await.unwrap(), RunOutcome::Drained);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_is_not_renewed_ends_the_enclave() {
    let started = start(World {
        lease: LeaseTerms {
            seconds: 3,
            tokens: 0,
        },
        sessions: 1,
        ..World::default()
    })
    .await;
    started.listening.await.unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(20), started.life).await;
    let outcome = ended.unwrap().unwrap();
    assert_eq!((outcome, outcome.code()), (RunOutcome::LeaseEnded, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_lease_goes_on() {
    let started = start(World {
        lease: LeaseTerms {
            seconds: 3,
            tokens: 0,
        },
        ..World::default()
    })
    .await;
    let listening = started.listening.await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let mut client = Client::connect(listening.api).await;
    assert_eq!(client.get("/readyz").await.status, 200);
    started.stop.send(()).unwrap();
    assert_eq!(started.life.await.unwrap(), RunOutcome::Drained);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spent_token_budget_ends_the_enclave() {
    let started = start(World {
        lease: LeaseTerms {
            seconds: 3600,
            tokens: 8,
        },
        sessions: 1,
        ..World::default()
    })
    .await;
    let listening = started.listening.await.unwrap();
    let mut client = Client::connect(listening.api).await;
    let identity = client.attest().await;
    assert!(client.bind(&identity, [1; 32]).await);
    let body = r#"{"model":"demo","prompt":"hello","max_tokens":50,"temperature":0}"#;
    let answer = client.post("/v1/completions", body).await;
    assert_ne!(answer.status, 200, "{}", answer.body);
    let ended = tokio::time::timeout(Duration::from_secs(20), started.life).await;
    assert_eq!(ended.unwrap().unwrap(), RunOutcome::LeaseEnded);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stops_the_boot_decides_the_exit_code() {
    let denied = start(World {
        fault: Fault::RefuseEvidence,
        ..World::default()
    });
    assert_eq!(denied.await.life.await.unwrap().code(), 3);
    let failed = start(World {
        fault: Fault::Unsigned,
        ..World::default()
    });
    assert_eq!(failed.await.life.await.unwrap().code(), 1);
    let wrong = start(World {
        edit: |text| text.replace("version =", "versions ="),
        ..World::default()
    });
    assert_eq!(wrong.await.life.await.unwrap().code(), 2);
    let absent = start(World {
        edit: |text| text.replace("model.sealed", "other.sealed"),
        ..World::default()
    });
    assert_eq!(absent.await.life.await.unwrap().code(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_while_the_broker_is_silent_is_heard() {
    let started = start(World {
        fault: Fault::Silent,
        ..World::default()
    })
    .await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    started.stop.send(()).unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(2), started.life).await;
    assert_eq!(ended.unwrap().unwrap(), RunOutcome::Drained);
}
