//! Altered answers and altered receipts, noticed at once; kept receipts, judged when the enclave is gone.

use std::path::Path;

use anchorhold_tests::process::{Finished, run};
use anchorhold_tests::world::{MODEL_NAME, World, text};
use serde_json::Value;

use crate::caller::{Proxy, question};
use crate::liar::{Desk, Liar, Lie, MODEL};

/// What a liar does to an answer or its receipt.
const LIES: [Lie; 5] = [
    Lie::AlteredAnswer,
    Lie::AlteredReceipt,
    Lie::OtherRequest,
    Lie::NoReceipt,
    Lie::BorrowedReceipt,
];

#[test]
fn ask_notices_an_altered_answer_and_an_altered_receipt() {
    let (liar, desk) = (Liar::start(), Desk::new());
    let policy = desk.text("policy.toml");
    for lie in LIES {
        liar.tells(lie);
        let refused = desk.client(&liar.url(), &["ask", "q"]).expect(3);
        assert_eq!(refused.json()["error"]["code"], "receipt_invalid", "{lie:?}");
        // A person saw text before its receipt came: it is taken back in words.
        let arguments = ["client", "ask", "--url", &liar.url(), "--policy", &policy, "q"];
        let shown = run(anchorhold_tests::programs!().host, &arguments).expect(3);
        assert!(shown.stderr.contains("NOT proven"), "{lie:?}: {shown:?}");
    }
    liar.tells(Lie::None);
    let answered = desk.accepts(&liar.url(), &["ask", "q"]);
    assert_eq!(answered["answer"], "Paris.");
}

#[test]
fn the_proxy_notices_an_altered_answer_and_an_altered_receipt() {
    let (liar, desk) = (Liar::start(), Desk::new());
    let mut proxy = Proxy::start(&liar.url(), &desk.text("policy.toml"), &[]);
    for lie in LIES {
        liar.tells(lie);
        let refused = proxy.ask(&question(MODEL, "q", false));
        assert_eq!(refused.refusal(), (502, "receipt_invalid".to_owned()), "{lie:?}");
        assert!(!refused.body.contains("Pa"), "nothing unproven: {refused:?}");
        proxy.process.says("refused: ");
        let streamed = proxy.ask(&question(MODEL, "q", true));
        assert!(
            streamed.body.contains("\"receipt_invalid\"") && !streamed.body.contains("[DONE]"),
            "{lie:?}: {streamed:?}"
        );
        proxy.process.says("refused: ");
    }
    liar.tells(Lie::None);
    let whole = proxy.ask(&question(MODEL, "q", false)).expect_text();
    assert!(whole.body.contains("Paris."));
    let streamed = proxy.ask(&question(MODEL, "q", true)).expect_text();
    assert!(streamed.body.ends_with("data: [DONE]\n\n"), "{streamed:?}");
}

/// Judges a file by arguments; everything it needs is on disk.
fn judged(file: &Path, more: &[&str]) -> Finished {
    let file = text(file);
    let fixed = ["client", "receipt", "verify", &file];
    run(
        anchorhold_tests::programs!().host,
        &[fixed.as_slice(), more].concat(),
    )
}

/// Files in `folder` with what the proxy kept of one question, and its texts: receipt, request, answer.
fn keep(world: &World, stream: bool) -> [std::path::PathBuf; 3] {
    let name = if stream { "stream" } else { "whole" };
    let (folder, policy) = (world.path(name), text(&world.path("policy.toml")));
    let _broker = world.start_broker();
    let serving = world.serve();
    let url = format!("https://127.0.0.1:{}", serving.port);
    let proxy = Proxy::start(&url, &policy, &["--keep-receipts", &text(&folder)]);
    let request = question(MODEL_NAME, "What is the capital of France?", stream);
    let answer = proxy.ask(&request).expect_text();
    let kept: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    let [receipt] = kept.as_slice() else {
        panic!("one answer, one receipt: {kept:?}")
    };
    let texts = [("request", request), ("answer", answer.body)];
    let [request, answer] = texts.map(|(what, content)| {
        let path = world.path(&format!("{name}-{what}"));
        std::fs::write(&path, content).unwrap();
        path
    });
    [receipt.clone(), request, answer]
    // Here broker, enclave and proxy end: what follows is offline.
}

#[test]
fn a_kept_receipt_is_judged_offline_and_says_what_it_cannot_prove() {
    let world = World::new(anchorhold_tests::programs!(), &World::demo_model());
    for stream in [false, true] {
        let [receipt, request, answer] = keep(&world, stream);
        let (policy, ask, told) = (text(&world.path("policy.toml")), text(&request), text(&answer));
        let all = [
            "--policy",
            &policy,
            "--request",
            &ask,
            "--answer",
            &told,
            "--json",
        ];
        let judgement = judged(&receipt, &all).expect(0).json();
        let list = |name: &str| judgement[name].as_array().unwrap().clone();
        let proven: Vec<Value> = list("proven")
            .iter()
            .map(|finding| finding["check"].clone())
            .collect();
        for check in [
            "report-data",
            "measurement",
            "config",
            "manifest",
            "receipt signature",
            "request and answer",
        ] {
            assert!(proven.contains(&check.into()), "{check}: {judgement:#}");
        }
        assert_eq!(judgement["receipt"]["manifest_sha256"], world.manifest());
        // What no file can prove is said in so many words, with everything at hand ...
        let not_proven = list("not_proven");
        for (about, sentences) in [("both times", 1), ("simulated evidence", 1), ("leaves no gap", 1)] {
            let said = not_proven
                .iter()
                .filter(|line| line.as_str().unwrap().contains(about));
            assert_eq!(said.count(), sentences, "{about}: {judgement:#}");
        }
        // ... and more of it with less.
        let bare = judged(&receipt, &["--json"]).expect(0).json();
        let bare = bare["not_proven"].as_array().unwrap();
        for option in ["--policy", "--request and --answer"] {
            assert!(
                bare.iter().any(|line| line.as_str().unwrap().contains(option)),
                "{bare:#?}"
            );
            assert!(
                !not_proven
                    .iter()
                    .any(|line| line.as_str().unwrap().contains(option))
            );
        }
        let person = judged(&receipt, &["--policy", &policy]).expect(0);
        assert!(person.stdout.contains("\nnot proven:\n- "), "{person:?}");

        // One byte of each file in turn.
        for (file, what) in [(&request, "France"), (&answer, "capital")] {
            let right = std::fs::read_to_string(file).unwrap();
            let at = right.find(what).unwrap_or_else(|| panic!("{what} in {right}"));
            let mut altered = right.clone().into_bytes();
            altered[at] ^= 0x20;
            std::fs::write(file, altered).unwrap();
            let refused = judged(&receipt, &all).expect(3).json();
            assert_eq!(refused["error"]["code"], "receipt_invalid", "{what}");
            std::fs::write(file, right).unwrap();
        }
        let kept: Value = serde_json::from_slice(&std::fs::read(&receipt).unwrap()).unwrap();
        let altered = world.path("altered.json");
        for (pointer, status) in [
            ("/receipt", 3),
            ("/channel_nonce", 3),
            ("/attestation/nonce", 3),
            ("/attestation/document/evidence/report", 3),
            ("/attestation/document/identity", 3),
            ("/version", 1),
        ] {
            let mut other = kept.clone();
            let value = other.pointer_mut(pointer).unwrap();
            let mut flipped = value.as_str().unwrap().as_bytes().to_vec();
            let at = flipped.len() / 2;
            flipped[at] = if flipped[at] == b'1' { b'2' } else { b'1' };
            *value = String::from_utf8(flipped).unwrap().into();
            std::fs::write(&altered, other.to_string()).unwrap();
            let refused = judged(&altered, &all);
            assert_ne!(refused.code, 0, "{pointer}: {refused:?}");
            // A character inside base64 or JSON may also break the shape: an error, never a proof.
            assert!(
                refused.code == status || refused.code == 1,
                "{pointer}: {refused:?}"
            );
        }
        std::fs::write(&altered, "{}").unwrap();
        assert_eq!(judged(&altered, &["--json"]).code, 1);
        // A policy that lists other code.
        let other = world.path("other.toml");
        std::fs::write(
            &other,
            world
                .policy
                .replace(&world.measurement().to_string(), &"ab".repeat(48)),
        )
        .unwrap();
        let denied = judged(&receipt, &["--policy", &text(&other), "--json"])
            .expect(3)
            .json();
        assert_eq!(crate::liar::rules_of(&denied), ["measurement"]);
    }
}
