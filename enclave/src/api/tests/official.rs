//! The official OpenAI Python package against the router over plain HTTP; skipped, loudly, without it.

use std::path::{Path, PathBuf};
use std::process::Command;

use axum::Extension;
use axum::serve;
use tokio::net::TcpListener;

use super::*;

/// `ANCHORHOLD_PYTHON`, else the one `tests/fetch.sh` makes in the build folder, else the system's.
#[allow(clippy::disallowed_methods)] // a test's own environment; it is no part of the enclave
fn python() -> PathBuf {
    if let Some(named) = std::env::var_os("ANCHORHOLD_PYTHON") {
        return named.into();
    }
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository.join("target"), PathBuf::from);
    let made = target.join("testdata/venv/bin/python");
    if made.exists() { made } else { "python3".into() }
}

/// Drives `tests/openai_package.py`, which whole-system tests run against the proxy too.
async fn drive(enclave: &Enclave, kind: &'static str) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/openai_package.py");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    let connection = Arc::new(Connection::bound_for_tests(Nonce::from_random(NONCE)));
    let app = enclave.router.clone().layer(Extension(connection));
    let server = tokio::spawn(serve(listener, app).into_future());
    let output = tokio::task::spawn_blocking(move || {
        Command::new(python())
            .arg(script)
            .args([&url, "demo", kind])
            .env("OPENAI_API_KEY", "unused")
            .output()
    });
    let output = output.await.unwrap();
    server.abort();
    #[allow(clippy::disallowed_methods)] // a skipped test must be seen; it is no part of the enclave
    let skipped = |why: &str| std::io::Write::write_all(&mut std::io::stderr(), why.as_bytes()).unwrap();
    match output {
        Err(_) => skipped("SKIPPED the official OpenAI package: there is no python3\n"),
        Ok(output) if output.status.code() == Some(77) => {
            skipped("SKIPPED the official OpenAI package: `pip install openai` to run this test\n");
        }
        Ok(output) => assert!(
            output.status.success(),
            "{}\n{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        ),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_package_chats_streams_completes_and_lists() {
    drive(&Enclave::new(), "decoder").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_package_embeds() {
    drive(&Enclave::embedder(), "embedder").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_package_talks_to_a_real_model() {
    let model = crate::engine::demo_model();
    drive(&Enclave::around(model, Seen::default(), |_| {}), "structured").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_package_parses_json_and_calls_functions() {
    let model = crate::engine::demo_model_with(forms::HERMES);
    drive(&Enclave::around(model, Seen::default(), |_| {}), "tools").await;
}
