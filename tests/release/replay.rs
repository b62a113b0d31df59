//! True answers at the wrong time or place: recorded in an earlier session, or asked for another resource.
//!
//! Why apart: every byte of them was signed by the true broker.
//!
//! # Invariants
//! What is replayed opened the door when it was fresh: the same run shows it.

use anchorhold_models::name::Class;
use anchorhold_tests::false_broker::{Answer, FalseBroker, Lies, Step, Told, stolen_tls_key};
use anchorhold_tests::process::Finished;
use anchorhold_tests::world::{KEY_ID, World};

use crate::rogue::led_astray;
use crate::{demo_world, got_no_key};

/// A world in which a liar stands before the true broker, twice: first it only listens while an enclave gets
/// its key; then `lies` is given what it heard, and another enclave of the same configuration starts.
fn after_listening(lies: impl FnOnce(Vec<(Step, Answer)>) -> Lies) -> (World, Finished) {
    let mut world = demo_world();
    let key = stolen_tls_key(&world.path("store"), Class::Insecure);
    let listener = FalseBroker::start(&key, &world.broker_address, Lies::none());
    led_astray(&mut world, &listener);
    let _broker = world.start_broker();
    let serving = world.serve();
    drop(serving);
    let heard = listener.heard();
    assert_eq!(heard.len(), 3);
    // The second liar takes the first one's place by the same name: the configuration stays the same.
    let address = listener.address;
    drop(listener);
    let _liar = FalseBroker::start_at(address, &key, &world.broker_address, lies(heard));
    let ended = world.start_enclave(&world.config).ends();
    (world, ended)
}

#[test]
fn a_release_of_an_earlier_session_is_refused() {
    let (world, ended) = after_listening(|heard| {
        let recorded = heard[2].1.clone();
        assert!(recorded.release().is_some() && recorded.status == 200);
        Lies::about_the_key(move |_| Told::Answer(recorded.clone()))
    });
    got_no_key(ended, 1, "release_signature");
    assert_eq!(world.log().len(), 2, "the true broker granted both times");
}

#[test]
fn a_whole_session_played_again_is_refused() {
    let (world, ended) = after_listening(|heard| {
        Lies::telling(move |step, _| {
            let (_, recorded) = heard
                .iter()
                .find(|(at, _)| *at == step)
                .expect("all three were heard");
            Told::Answer(recorded.clone())
        })
    });
    // The nonce is the old one and so is the signature over it; the enclave's key is not.
    got_no_key(ended, 1, "release_signature");
    assert_eq!(world.log().len(), 1, "the true broker granted only the first");
}

#[test]
fn an_old_body_under_a_new_header_is_refused() {
    let (_world, ended) = after_listening(|heard| {
        let old = heard[2].1.body.clone();
        Lies::about_the_key(move |answer| {
            Told::Answer(Answer {
                body: old.clone(),
                ..answer
            })
        })
    });
    got_no_key(ended, 1, "release_signature");
}

#[test]
fn a_new_body_under_an_old_header_is_refused() {
    let (_world, ended) = after_listening(|heard| {
        let old = heard[2].1.release().expect("a release").to_owned();
        Lies::about_the_key(move |answer| Told::Answer(answer.with("anchorhold-release", &old)))
    });
    got_no_key(ended, 1, "release_signature");
}

#[test]
fn the_true_answer_for_another_resource_is_refused() {
    let mut world = demo_world();
    let key = stolen_tls_key(&world.path("store"), Class::Insecure);
    // The owner serves the same key under a second name, with a longer lease.
    let second = format!(
        "\n[[resource]]\npath = \"default/model/second\"\nkey_id = \"{KEY_ID}\"\npolicy = \"policy.toml\"\n\
         lease_seconds = 86400\n"
    );
    world.broker.push_str(&second);
    let liar = FalseBroker::start(
        &key,
        &world.broker_address,
        Lies::asking(|path| path.replace("/resource/default/model/demo", "/resource/default/model/second")),
    );
    led_astray(&mut world, &liar);
    let _broker = world.start_broker();
    got_no_key(world.start_enclave(&world.config).ends(), 1, "release_signature");
    let log = world.log();
    let event = &log.last().unwrap()["event"];
    assert_eq!(
        (&event["decision"], &event["resource"]),
        (&"granted".into(), &"default/model/second".into())
    );
    // The control: an enclave configured for the second resource takes exactly that answer.
    world.configure(|config| config.replace("default/model/demo", "default/model/second"));
    drop(_broker);
    let _broker = world.start_broker();
    let _serving = world.serve();
}
