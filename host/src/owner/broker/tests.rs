//! The whole conversation with simulated enclaves: the one that is granted, and every way to be refused.

mod guest;
mod wire;

use std::sync::{Arc, Mutex};

use anchorhold_attestation::release::ReleaseExpectation;
use anchorhold_attestation::{Class, ReleaseHeader, ReleaseStatement, Timestamp};
use anchorhold_encoding::Digest;
use anchorhold_models::key::ModelKey;

use super::refusal::Refusal;
use super::*;
use crate::owner::release_log::{Check, Decision, Entry};
use crate::owner::store::{self, default_kek};
use guest::Guest;

const NOW: Timestamp = Timestamp::from_unix(1_800_000_000);
const MANIFEST: Digest<32> = Digest::new([0x33; 32]);
const PATH: &str = "default/model/demo";

/// A broker with one resource, whose policy accepts [`Guest::new`].
struct World {
    _folder: tempfile::TempDir,
    store: std::path::PathBuf,
    broker: Arc<Broker>,
    now: Arc<Mutex<Timestamp>>,
    notices: Arc<Mutex<Vec<Notice>>>,
}

impl World {
    fn new() -> Self {
        Self::with(Class::Insecure, &guest::policy())
    }

    fn with(class: Class, policy: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store");
        let mut store = Store::create(&path, &default_kek(&path), class).unwrap();
        let key_id = "demo".parse().unwrap();
        store.add_key(&key_id).unwrap();
        store.register_manifest(&key_id, &MANIFEST).unwrap();
        std::fs::write(folder.path().join("policy.toml"), policy).unwrap();
        let config = format!(
            "listen = \"127.0.0.1:0\"\n[[resource]]\npath = \"{PATH}\"\nkey_id = \"demo\"\npolicy = \"policy.toml\"\n"
        );
        let config = BrokerConfig::parse(config.as_bytes()).unwrap();
        let now = Arc::new(Mutex::new(NOW));
        let notices = Arc::new(Mutex::new(Vec::new()));
        let (time, told) = (Arc::clone(&now), Arc::clone(&notices));
        let clock = Clock::new(move || *time.lock().unwrap());
        let observer = Arc::new(move |notice| told.lock().unwrap().push(notice));
        let broker = Broker::new(store, config, folder.path(), clock, observer).unwrap();
        Self {
            _folder: folder,
            store: path,
            broker: Arc::new(broker),
            now,
            notices,
        }
    }

    /// The log, checked.
    fn log(&self) -> Vec<Entry> {
        let mut check = Check::new(self.broker.identity().release_key, None);
        let mut entries = Vec::new();
        store::log::read(&self.store, |stored| {
            entries.push(check.take(&stored).unwrap());
            Ok::<(), StoreError>(())
        })
        .unwrap();
        check.finish().unwrap();
        entries
    }

    /// The rules of the last denial in the log.
    fn denied_rules(&self) -> Vec<String> {
        let log = self.log();
        let last = &log.last().unwrap().event;
        assert_eq!(last.decision, Decision::Denied);
        last.reasons.iter().map(|reason| reason.rule.clone()).collect()
    }
}

fn path(text: &str) -> ResourcePath {
    text.parse().unwrap()
}

#[test]
fn a_good_enclave_gets_a_signed_wrapped_key_once() {
    let world = World::new();
    let guest = Guest::new();
    let (id, nonce) = guest.begin(&world.broker);
    let token = world.broker.attest(&id, &guest.answer(&nonce)).unwrap();
    guest::check_token(&token, &nonce);
    let released = world.broker.release(&id, &path(PATH)).unwrap();
    assert_eq!(
        world.broker.release(&id, &path(PATH)).err(),
        Some(Refusal::Session)
    );

    let header = ReleaseHeader::parse(&released.header).unwrap();
    let expected = ReleaseExpectation {
        nonce: &guest::nonce_bytes(&nonce),
        tee_pubkey: &guest.pair.public_jwk(),
        resource: &path(PATH),
        manifest: &MANIFEST,
    };
    let release_key = world.broker.identity().release_key;
    let verified = ReleaseStatement::verify(header, &expected, &released.body, &release_key).unwrap();
    assert_eq!(verified.lease().seconds, 3600);
    assert_eq!(verified.broker_time(), NOW);
    assert!(ModelKey::unwrap(verified.jwe(), guest.pair).is_ok());

    let log = world.log();
    let [entry] = log.as_slice() else {
        panic!("one entry")
    };
    assert_eq!(entry.event.decision, Decision::Granted);
    assert_eq!(
        entry.event.jwe_sha256,
        Some(anchorhold_encoding::sha256(&[&released.body]))
    );
    assert_eq!(entry.event.manifest_sha256, Some(MANIFEST));
    assert!(matches!(
        world.notices.lock().unwrap().as_slice(),
        [Notice::Granted { sequence: 1, .. }]
    ));
}

#[test]
fn the_hash_may_be_sha_512_when_the_guest_has_no_other() {
    let world = World::new();
    let mut guest = Guest::new();
    guest.sha512 = true;
    let (id, nonce) = guest.begin(&world.broker);
    assert!(world.broker.attest(&id, &guest.answer(&nonce)).is_ok());
    assert!(world.broker.release(&id, &path(PATH)).is_ok());
}

#[test]
fn members_of_any_shape_may_hold_so_many_values_and_no_more() {
    let auth = |values: usize| {
        let list = vec!["[]"; values].join(",");
        let extra = format!("{{\"other\":[{list}]}}");
        crate::owner::broker::wire::auth(
            format!("{{\"version\":\"0.4.0\",\"tee\":\"sample\",\"extra-params\":{extra}}}").as_bytes(),
        )
    };
    assert!(auth(4).is_ok());
    assert!(auth(crate::limits::BROKER_BODY_VALUES / 2 - 8).is_ok());
    assert!(matches!(
        auth(crate::limits::BROKER_BODY_VALUES / 2),
        Err(Refusal::Message)
    ));
}

#[test]
fn a_nonce_is_used_up_by_the_first_answer_good_or_bad() {
    let world = World::new();
    let guest = Guest::new();
    let (id, nonce) = guest.begin(&world.broker);
    let answer = guest.answer(&nonce);
    assert_eq!(world.broker.attest(&id, b"{}").err(), Some(Refusal::Message));
    assert_eq!(world.broker.attest(&id, &answer).err(), Some(Refusal::Session));
    let (id, nonce) = guest.begin(&world.broker);
    assert!(world.broker.attest(&id, &guest.answer(&nonce)).is_ok());
    assert_eq!(
        world.broker.attest(&id, &guest.answer(&nonce)).err(),
        Some(Refusal::Session)
    );
}

#[test]
fn an_answer_belongs_to_its_session() {
    let world = World::new();
    let guest = Guest::new();
    let (_, old) = guest.begin(&world.broker);
    let (id, nonce) = guest.begin(&world.broker);
    assert_ne!(old, nonce);
    assert_eq!(
        world.broker.attest(&id, &guest.answer(&old)).err(),
        Some(Refusal::Nonce)
    );
    // The right nonce in the message, the old one in the evidence.
    let (id, nonce) = guest.begin(&world.broker);
    let replayed = guest.edited(&old, |message| {
        message["runtime-data"]["nonce"] = nonce.as_str().into()
    });
    assert_eq!(world.broker.attest(&id, &replayed).err(), Some(Refusal::Policy));
    assert_eq!(world.denied_rules(), ["report-data"]);
    assert_eq!(
        world.broker.release(&id, &path(PATH)).err(),
        Some(Refusal::Session)
    );
}

/// Every part of the message that the evidence commits to.
#[test]
fn nothing_that_is_bound_can_be_exchanged() {
    let other_key = Guest::new().pair.public_jwk();
    let other_identity = {
        let mut other = Guest::new();
        other.identity.model.manifest_sha256 = Digest::new([0x44; 32]);
        other.additional()
    };
    let world = World::new();
    let guest = Guest::new();
    let refused = |edit: &dyn Fn(&mut serde_json::Value)| {
        let (id, nonce) = guest.begin(&world.broker);
        let message = guest.edited(&nonce, edit);
        let refusal = world.broker.attest(&id, &message).err().unwrap();
        assert_eq!(
            world.broker.release(&id, &path(PATH)).err(),
            Some(Refusal::Session)
        );
        refusal
    };
    let key = other_key.clone();
    assert_eq!(
        refused(&move |m| m["runtime-data"]["tee-pubkey"] = key.clone()),
        Refusal::Policy
    );
    let identity = other_identity.clone();
    assert_eq!(
        refused(&move |m| m["tee-evidence"]["additional_evidence"] = identity.clone().into()),
        Refusal::Policy
    );
    assert_eq!(
        refused(&|m| m["init-data"]["body"] = "platform = 1".into()),
        Refusal::Policy
    );
    assert_eq!(
        refused(&|m| m["init-data"] = serde_json::Value::Null),
        Refusal::Message
    );
    assert_eq!(
        refused(&|m| m["init-data"]["format"] = "json".into()),
        Refusal::Message
    );
    assert_eq!(
        refused(&|m| m["tee-evidence"]["additional_evidence"] = "".into()),
        Refusal::Message
    );
    assert_eq!(
        refused(&|m| m["runtime-data"]["tee-pubkey"]["alg"] = "RSA1_5".into()),
        Refusal::PublicKey
    );
    assert_eq!(refused(&|m| m["more"] = 1.into()), Refusal::Message);
    assert_eq!(refused(&guest::flip_report), Refusal::Evidence);
}

#[test]
fn every_reason_is_logged_and_only_a_constant_is_answered() {
    let world = World::new();
    let mut guest = Guest::new();
    guest.platform.debug = true;
    guest.platform.measurement = Digest::new([0x99; 48]);
    let (id, nonce) = guest.begin(&world.broker);
    assert_eq!(
        world.broker.attest(&id, &guest.answer(&nonce)).err(),
        Some(Refusal::Policy)
    );
    assert_eq!(world.denied_rules(), ["debug", "measurement"]);
    let notices = world.notices.lock().unwrap();
    let [Notice::Denied { rules, .. }] = notices.as_slice() else {
        panic!("one denial")
    };
    assert!(rules.iter().all(|rule| !rule.hint.is_empty()));
}

#[test]
fn a_real_store_gives_nothing_to_simulated_evidence_whatever_the_policy_says() {
    let world = World::with(Class::Real, &guest::policy());
    let guest = Guest::new();
    let (id, nonce) = guest.begin(&world.broker);
    assert_eq!(
        world.broker.attest(&id, &guest.answer(&nonce)).err(),
        Some(Refusal::Policy)
    );
    assert_eq!(world.denied_rules(), ["key-class"]);
}

#[test]
fn simulated_evidence_needs_the_dangerous_word() {
    let strict = guest::policy().replace("dangerously_accept_simulated = true\n", "");
    let world = World::with(Class::Insecure, &strict);
    let guest = Guest::new();
    let (id, nonce) = guest.begin(&world.broker);
    assert_eq!(
        world.broker.attest(&id, &guest.answer(&nonce)).err(),
        Some(Refusal::Policy)
    );
    assert_eq!(world.denied_rules(), ["simulated"]);
}

#[test]
fn a_model_that_was_not_sealed_under_the_key_gets_no_key() {
    let other = Digest::new([0x55; 32]);
    let policy = guest::policy().replace(&MANIFEST.to_string(), &other.to_string());
    let world = World::with(Class::Insecure, &policy);
    let mut guest = Guest::new();
    guest.identity.model.manifest_sha256 = other;
    let (id, nonce) = guest.begin(&world.broker);
    assert_eq!(
        world.broker.attest(&id, &guest.answer(&nonce)).err(),
        Some(Refusal::Policy)
    );
    assert_eq!(world.denied_rules(), ["key-manifest"]);
}

/// The decision is about the time of the release, not of the attestation.
#[test]
fn a_key_asked_for_too_late_is_denied() {
    let world = World::new();
    let guest = Guest::new();
    let (id, nonce) = guest.begin(&world.broker);
    assert!(world.broker.attest(&id, &guest.answer(&nonce)).is_ok());
    *world.now.lock().unwrap() = NOW.plus(601);
    assert_eq!(
        world.broker.release(&id, &path(PATH)).err(),
        Some(Refusal::Policy)
    );
    assert_eq!(world.log().last().unwrap().event.decision, Decision::Denied);
}

/// The nonce is the broker's and so is its age: what the guest's clock says plays no part.
#[test]
fn a_broker_whose_clock_is_an_hour_off_still_binds() {
    for offset in [0, 7200] {
        let world = World::new();
        *world.now.lock().unwrap() = Timestamp::from_unix(NOW.unix() - 3600 + offset);
        let guest = Guest::new();
        let (id, nonce) = guest.begin(&world.broker);
        assert!(world.broker.attest(&id, &guest.answer(&nonce)).is_ok());
        assert!(world.broker.release(&id, &path(PATH)).is_ok());
    }
}

#[test]
fn unknown_resources_look_like_denied_ones() {
    let world = World::new();
    let guest = Guest::new();
    let (id, nonce) = guest.begin(&world.broker);
    assert!(world.broker.attest(&id, &guest.answer(&nonce)).is_ok());
    assert_eq!(
        world.broker.release(&id, &path("default/model/other")).err(),
        Some(Refusal::Policy)
    );
    assert!(
        world.broker.release(&id, &path(PATH)).is_ok(),
        "the session goes on"
    );
}

#[test]
fn a_log_that_cannot_be_written_releases_nothing() {
    let world = World::new();
    let guest = Guest::new();
    let (id, nonce) = guest.begin(&world.broker);
    assert!(world.broker.attest(&id, &guest.answer(&nonce)).is_ok());
    let connection = rusqlite::Connection::open(world.store.join("broker.sqlite")).unwrap();
    connection
        .execute_batch(
            "CREATE TRIGGER full BEFORE INSERT ON release_log BEGIN SELECT RAISE(ABORT, 'full'); END",
        )
        .unwrap();
    assert_eq!(
        world.broker.release(&id, &path(PATH)).err(),
        Some(Refusal::Internal)
    );
    assert!(matches!(
        world.notices.lock().unwrap().as_slice(),
        [Notice::Failed(StoreError::Database(_))]
    ));
    assert!(world.log().is_empty());
}

#[test]
fn a_configuration_that_does_not_fit_the_store_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let config = format!(
        "listen = \"127.0.0.1:0\"\n[[resource]]\npath = \"{PATH}\"\nkey_id = \"demo\"\npolicy = \"p\"\n"
    );
    let config = || BrokerConfig::parse(config.as_bytes()).unwrap();
    let start = |store| Broker::new(store, config(), folder.path(), Clock::system(), Arc::new(|_| {})).err();
    let mut store = Store::create(&path, &default_kek(&path), Class::Real).unwrap();
    store.add_key(&"other".parse().unwrap()).unwrap();
    assert!(matches!(start(store), Some(BrokerError::NoSuchKey(_))));
    let open = || Store::open(&path, &default_kek(&path)).unwrap();
    open().add_key(&"demo".parse().unwrap()).unwrap();
    assert!(matches!(start(open()), Some(BrokerError::PolicyFile(..))));
    std::fs::write(folder.path().join("p"), "version = 1\n").unwrap();
    assert!(matches!(start(open()), Some(BrokerError::Policy(..))));
}
