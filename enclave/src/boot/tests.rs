//! Tests of the boot order: what each transition refuses, and that none can be skipped.

use anchorhold_encoding::{Digest, sha256};

use super::*;
use crate::config::tests::EXAMPLE;
#[cfg(feature = "insecure-simulated")]
use crate::rcar::tests::broker::{Broker, Fault};
#[cfg(feature = "insecure-simulated")]
use crate::rcar::{RcarError, Refusal};
use crate::run::RunOutcome;

fn launch(host_data: Digest<32>, text: &str) -> Vec<u8> {
    let record = LaunchRecord {
        measurement: Digest::new([1; 48]),
        host_data,
    };
    [record.encode(), text.as_bytes().to_vec()].concat()
}

fn locked(bytes: &[u8]) -> Result<Locked, BootError> {
    Locked::from_descriptor(bytes)
}

fn error(result: Result<Locked, BootError>) -> BootError {
    result.err().expect("this must not boot")
}

#[test]
fn the_measured_configuration_boots() {
    let digest = sha256(&[EXAMPLE.as_bytes()]);
    let locked = locked(&launch(digest, EXAMPLE)).ok().unwrap();
    assert_eq!(locked.text, EXAMPLE);
}

#[test]
fn another_configuration_is_not_even_parsed() {
    let digest = sha256(&[EXAMPLE.as_bytes()]);
    let other = EXAMPLE.replace("demo", "evil");
    let differs = BootError::Launch(LaunchError::OtherConfiguration);
    assert_eq!(error(locked(&launch(digest, &other))), differs);
    // Not TOML at all: the digest is what is looked at first.
    assert_eq!(error(locked(&launch(digest, "[["))), differs);
    assert_eq!(error(locked(&launch(digest, ""))), differs);
}

#[test]
fn a_field_nobody_set_stops_the_boot() {
    let unbound = launch(Digest::new([0; 32]), EXAMPLE);
    assert_eq!(error(locked(&unbound)), BootError::Launch(LaunchError::Unbound));
}

#[test]
fn what_is_not_a_launch_is_told_from_what_is_too_much() {
    assert_eq!(error(locked(b"")), BootError::Launch(LaunchError::NoRecord));
    let digest = sha256(&[EXAMPLE.as_bytes()]);
    let mut other = launch(digest, EXAMPLE);
    other[0] ^= 1;
    assert_eq!(error(locked(&other)), BootError::Launch(LaunchError::NoRecord));
    let longest = limits::LAUNCH_BYTES - LaunchRecord::LENGTH;
    let most = format!("{EXAMPLE}{}", "#".repeat(longest - EXAMPLE.len()));
    assert!(locked(&launch(sha256(&[most.as_bytes()]), &most)).is_ok());
    let long = format!("{most}#");
    let too_large = launch(sha256(&[long.as_bytes()]), &long);
    assert_eq!(
        error(locked(&too_large)),
        BootError::Launch(LaunchError::TooLarge)
    );
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::Other.into())
        }
    }
    let broken = error(Locked::from_descriptor(Broken));
    assert_eq!(broken, BootError::Launch(LaunchError::Unreadable));
    assert_eq!(broken.outcome(), RunOutcome::BadConfiguration);
}

#[test]
fn a_wrong_configuration_is_told_with_line_and_key() {
    let text = EXAMPLE.replace("insecure-simulated", "sgx");
    let error = error(locked(&launch(sha256(&[text.as_bytes()]), &text)));
    assert_eq!(error.outcome().code(), 2);
    let said = serde_json::to_value(error.event()).unwrap();
    assert_eq!(said["stage"], "config");
    assert_eq!(said["key"], "platform");
    assert_eq!(said["line"], 4);
}

/// A configuration for hardware, on a machine that is another: the error says what is missing, before there are keys.
#[test]
fn a_platform_that_this_machine_is_not_stops_the_boot() {
    let text = EXAMPLE
        .replace("insecure-simulated", "snp")
        .replace("\"insecure\"", "\"real\"");
    let locked = locked(&launch(sha256(&[text.as_bytes()]), &text)).ok().unwrap();
    let error = locked
        .restrict()
        .ok()
        .unwrap()
        .attest()
        .err()
        .expect("no machine was launched with this text");
    let places = crate::attester::Places::default();
    if !places.tsm.exists() && !places.sev_guest.exists() {
        let said = serde_json::to_value(error.event()).unwrap();
        assert_eq!(said["stage"], "attest");
        assert_eq!(said["code"], "sev_guest_missing");
    }
}

#[cfg(feature = "insecure-simulated")]
#[test]
fn attesting_commits_to_what_was_measured() {
    let digest = sha256(&[EXAMPLE.as_bytes()]);
    let attested = locked(&launch(digest, EXAMPLE))
        .ok()
        .unwrap()
        .restrict()
        .ok()
        .unwrap()
        .attest()
        .ok()
        .unwrap();
    let document = attested.identity.document();
    assert_eq!(document.config_sha256, digest);
    assert_eq!(document.tls_spki_sha256, attested.tls.spki_sha256());
    assert_eq!(
        document.model.manifest_sha256,
        attested.config.model.manifest_sha256
    );
}

/// What comes of asking a broker with `fault`, and how many sessions were asked for.
#[cfg(feature = "insecure-simulated")]
async fn asked(fault: Fault, attempts: u32) -> (Result<(), BootError>, usize) {
    let broker = Broker::start(fault).await;
    let text = broker.configuration();
    let text = text.replace("[broker]", &format!("[broker]\nattempts = {attempts}"));
    let locked = locked(&launch(sha256(&[text.as_bytes()]), &text)).ok().unwrap();
    let keyed = locked
        .restrict()
        .ok()
        .unwrap()
        .attest()
        .ok()
        .unwrap()
        .obtain_key()
        .await;
    (keyed.map(|_| ()), broker.sessions())
}

#[cfg(feature = "insecure-simulated")]
#[tokio::test]
async fn a_failing_broker_is_asked_as_often_as_configured_and_a_refusing_one_once() {
    let failed = || Err(BootError::Broker(RcarError::BrokerFailed));
    assert_eq!(asked(Fault::ServerError, 1).await, (failed(), 1));
    assert_eq!(asked(Fault::ServerError, 3).await, (failed(), 3));
    let refused = RcarError::Denied(Refusal::Resource);
    assert_eq!(
        asked(Fault::RefuseResource, 3).await,
        (Err(BootError::Broker(refused)), 1)
    );
    assert_eq!(asked(Fault::None, 3).await, (Ok(()), 1));
}
