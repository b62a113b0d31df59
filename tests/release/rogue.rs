//! Another broker than the configured one, and a liar in front of the true one.
//!
//! Why apart: here the enclave decides. The liar holds the true broker's TLS key, so that the first door is
//! open and the second is seen to be shut.
//!
//! # Invariants
//! Every lie is told beside the honest control in the same world.

use anchorhold_models::name::Class;
use anchorhold_tests::false_broker::{Answer, FalseBroker, Lies, Step, Told, own_tls_key, stolen_tls_key};
use anchorhold_tests::process::Finished;
use anchorhold_tests::world::World;

use crate::{demo_world, got_no_key, tiny_world};

/// A world whose configuration sends the enclave to a liar at `address`, approved by the owner.
pub(crate) fn led_astray(world: &mut World, liar: &FalseBroker) {
    let genuine = format!("https://{}", world.broker_address);
    world.configure(|config| config.replace(&genuine, &format!("https://{}", liar.address)));
}

/// A liar with the stolen TLS key in front of the true broker, and how the enclave ended.
fn lied_to(lies: Lies) -> Finished {
    let mut world = tiny_world();
    let key = stolen_tls_key(&world.path("store"), Class::Insecure);
    let liar = FalseBroker::start(&key, &world.broker_address, lies);
    led_astray(&mut world, &liar);
    world.configure(|config| config.replace("attempts = 2", "attempts = 1\ntimeout_seconds = 2"));
    let _broker = world.start_broker();
    world.start_enclave(&world.config).ends()
}

/// A broker with everything right but the owner: same protocol, same address, its own keys and model, and a
/// policy that gives its key to the enclave of `world`.
fn rogue_in_place_of(world: &World) -> World {
    let model = anchorhold_tests::tree::root().join("tests/tiny-models/mistral");
    let mut rogue = World::new(anchorhold_tests::programs!(), &model);
    assert_ne!(rogue.manifest(), world.manifest());
    std::fs::copy(rogue.path("model.sealed"), world.path("model.sealed")).unwrap();
    rogue.broker_address.clone_from(&world.broker_address);
    rogue.broker.clone_from(&world.broker);
    rogue.policy = world.policy.replace(&world.manifest(), &rogue.manifest());
    rogue
}

#[test]
fn the_thief_who_only_listens_stops_nobody() {
    let mut world = demo_world();
    let key = stolen_tls_key(&world.path("store"), Class::Insecure);
    let liar = FalseBroker::start(&key, &world.broker_address, Lies::none());
    led_astray(&mut world, &liar);
    let _broker = world.start_broker();
    let _serving = world.serve();
    let steps: Vec<Step> = liar.heard().iter().map(|(step, _)| *step).collect();
    assert_eq!(steps, [Step::Auth, Step::Attest, Step::Resource]);
}

#[test]
fn a_rogue_broker_on_the_pinned_address_is_not_spoken_to() {
    let world = tiny_world();
    let rogue = rogue_in_place_of(&world);
    let _broker = rogue.start_broker();
    got_no_key(world.start_enclave(&world.config).ends(), 1, "broker_tls_key");
    assert_eq!(rogue.log().len(), 0, "not even evidence was shown to it");
}

#[test]
fn a_rogue_broker_with_the_stolen_tls_key_cannot_sign_the_release() {
    let mut world = tiny_world();
    let mut rogue = rogue_in_place_of(&world);
    let key = stolen_tls_key(&world.path("store"), Class::Insecure);
    let liar = FalseBroker::start(&key, &rogue.broker_address, Lies::none());
    led_astray(&mut world, &liar);
    // The rogue registered the victim's manifest for its own key: it wants its model to be served as that.
    rogue.policy.clone_from(&world.policy);
    let manifest = world.manifest();
    register(&rogue, &manifest);
    let _broker = rogue.start_broker();
    got_no_key(world.start_enclave(&world.config).ends(), 1, "release_signature");
    let log = rogue.log();
    assert_eq!(
        log.last().unwrap()["event"]["decision"],
        "granted",
        "the rogue did give its key"
    );
}

/// Makes a store say that its key opens a model that was never sealed under it.
fn register(world: &World, manifest: &str) {
    let database = rusqlite::Connection::open(world.path("store").join("broker.sqlite")).unwrap();
    let insert = "INSERT INTO manifest (key_id, manifest_sha256) VALUES ('demo', ?1)";
    assert_eq!(database.execute(insert, [manifest]), Ok(1));
}

#[test]
fn a_liar_with_its_own_tls_key_is_not_spoken_to() {
    let mut world = tiny_world();
    let liar = FalseBroker::start(&own_tls_key(), &world.broker_address, Lies::none());
    led_astray(&mut world, &liar);
    let _broker = world.start_broker();
    got_no_key(world.start_enclave(&world.config).ends(), 1, "broker_tls_key");
    assert!(liar.heard().is_empty());
}

#[test]
fn an_unsigned_release_is_refused() {
    let lies = Lies::about_the_key(|mut answer| {
        assert!(answer.headers.remove("anchorhold-release").is_some());
        Told::Answer(answer)
    });
    got_no_key(lied_to(lies), 1, "release_unsigned");
    let nonsense =
        Lies::about_the_key(|answer| Told::Answer(answer.with("anchorhold-release", "bm90IGpzb24")));
    got_no_key(lied_to(nonsense), 1, "release_unsigned");
}

#[test]
fn a_release_altered_in_any_member_is_refused() {
    fn altered(edit: fn(&mut serde_json::Value)) -> Lies {
        use base64::Engine as _;
        use base64::engine::general_purpose::URL_SAFE_NO_PAD;
        Lies::about_the_key(move |answer| {
            let header = URL_SAFE_NO_PAD
                .decode(answer.release().expect("a release"))
                .unwrap();
            let mut header: serde_json::Value = serde_json::from_slice(&header).unwrap();
            edit(&mut header);
            let header = URL_SAFE_NO_PAD.encode(anchorhold_encoding::canonical::to_vec(&header));
            Told::Answer(answer.with("anchorhold-release", &header))
        })
    }
    let edits: [fn(&mut serde_json::Value); 5] = [
        |header| header["lease"]["seconds"] = 86_400.into(),
        |header| header["broker_time"] = 1_900_000_000.into(),
        |header| {
            header["manifests"]
                .as_array_mut()
                .unwrap()
                .push("ee".repeat(32).into())
        },
        |header| header["key_id"] = "other".into(),
        |header| {
            let signature = header["signature"].as_str().unwrap();
            let digit = if signature.ends_with('0') { "1" } else { "0" };
            header["signature"] = format!("{}{digit}", &signature[..127]).into();
        },
    ];
    for edit in edits {
        got_no_key(lied_to(altered(edit)), 1, "release_signature");
    }
}

#[test]
fn another_wrapped_key_under_a_good_header_is_refused() {
    use anchorhold_models::wrap::TeeKeyPair;
    let lies = Lies::about_the_key(|mut answer| {
        // A well-formed JWE of someone else: the header's signature covers the body.
        let key = anchorhold_models::ModelKey::generate();
        answer.body = key.wrap_for(TeeKeyPair::generate().public()).to_vec().into();
        Told::Answer(answer)
    });
    got_no_key(lied_to(lies), 1, "release_signature");
}

#[test]
fn a_redirect_is_not_followed() {
    for step in [Step::Auth, Step::Attest, Step::Resource] {
        let lies = Lies::telling(move |at, answer| {
            let away = Answer::new(302, "").with("location", "https://127.0.0.1:1/kbs/v0/auth");
            Told::Answer(if at == step { away } else { answer })
        });
        got_no_key(lied_to(lies), 1, "broker_protocol");
    }
}

#[test]
fn endless_broken_and_wrong_answers_end_the_attempt() {
    for step in [Step::Auth, Step::Attest, Step::Resource] {
        let instead = |answer: fn(Answer) -> Told| {
            Lies::telling(move |at, genuine| {
                if at == step {
                    answer(genuine)
                } else {
                    Told::Answer(genuine)
                }
            })
        };
        let huge = instead(|genuine| {
            Told::Answer(Answer {
                body: vec![b' '; 8 << 20].into(),
                ..genuine
            })
        });
        got_no_key(lied_to(huge), 1, "broker_protocol");
        got_no_key(lied_to(instead(Told::Half)), 1, "broker_unreachable");
        got_no_key(
            lied_to(instead(|_| Told::Answer(Answer::new(503, "later")))),
            1,
            "broker_failed",
        );
        // A refusal without RCAR's words is no refusal: something else answers there.
        got_no_key(
            lied_to(instead(|_| Told::Answer(Answer::new(404, "<html>")))),
            1,
            "broker_protocol",
        );
    }
    let page = Lies::telling(|_, _| Told::Answer(Answer::new(200, "<html>It works!</html>")));
    got_no_key(lied_to(page), 1, "broker_protocol");
}

#[test]
fn a_slow_broker_is_not_waited_for() {
    let started = std::time::Instant::now();
    got_no_key(
        lied_to(Lies::telling(|_, _| Told::Nothing)),
        1,
        "broker_unreachable",
    );
    got_no_key(
        lied_to(Lies::about_the_key(Told::Stalls)),
        1,
        "broker_unreachable",
    );
    assert!(
        started.elapsed() < std::time::Duration::from_secs(30),
        "two time-outs of 2 s and two starts"
    );
}

#[test]
fn a_denial_by_anyone_with_the_tls_key_ends_the_start() {
    let lies = Lies::telling(|_, _| {
        Told::Answer(Answer::new(
            401,
            r#"{"type":"https://example.org/errors/PolicyDeny","detail":"<b>no</b>"}"#,
        ))
    });
    let ended = lied_to(lies);
    assert!(
        !ended.stdout.contains("<b>"),
        "what a broker writes is not repeated: {ended:#?}"
    );
    got_no_key(ended, 3, "session_refused");
}
