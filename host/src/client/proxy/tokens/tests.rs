//! What goes to the enclave, and what comes back to the program.

use anchorhold_models::Manifest;

use super::*;

fn tokens() -> Tokens {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../xtask/demo-model");
    let manifest = Manifest::of_dir(&folder, &()).unwrap();
    let files = Wording::files(&manifest)
        .map(|name| (name.to_owned(), std::fs::read(folder.join(name)).unwrap()))
        .collect();
    let digest = manifest.digest();
    Tokens::new(Wording::read(&manifest, digest, files).unwrap(), digest)
}

fn ask(tokens: &Tokens, path: &str, body: &str) -> Result<Option<Asked>, NoTokens> {
    tokens.ask(&path.parse().unwrap(), body.as_bytes())
}

fn json(bytes: &[u8]) -> serde_json::Value {
    serde_json::from_slice(bytes).unwrap()
}

const CHAT: &str = "/v1/chat/completions";

#[test]
fn a_question_goes_out_in_ids_and_without_its_text() {
    let tokens = tokens();
    let body = r#"{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"canary one"}]}],"seed":7}"#;
    let asked = ask(&tokens, CHAT, body).unwrap().unwrap();
    let sent = json(&asked.body);
    assert!(!std::str::from_utf8(&asked.body).unwrap().contains("canary"));
    assert_eq!((&sent["model"], &sent["seed"]), (&"m".into(), &7.into()));
    assert!(sent["messages"].is_null());
    assert_eq!(sent["anchorhold"]["return_ids"], true);
    let message = ChatMessage::new(Role::User, Zeroizing::new("canary one".to_owned()));
    let ids = tokens.wording.chat(&[message]).unwrap();
    assert_eq!(sent["anchorhold"]["prompt_ids"], serde_json::json!(*ids));
    let asked = ask(&tokens, "/v1/completions", r#"{"prompt":["canary"]}"#)
        .unwrap()
        .unwrap();
    let ids = tokens.wording.text("canary").unwrap();
    assert_eq!(
        json(&asked.body)["anchorhold"]["prompt_ids"],
        serde_json::json!(*ids)
    );
    assert!(ask(&tokens, "/v1/embeddings", "{}").unwrap().is_none());
    assert!(ask(&tokens, "/v1/models", "").unwrap().is_none());
}

#[test]
fn what_would_send_text_is_not_sent() {
    let tokens = tokens();
    let refused = |path, body: &str| ask(&tokens, path, body).err();
    let with = |more: &str| format!(r#"{{"messages":[{{"role":"user","content":"x"}}]{more}}}"#);
    for name in NEED_TEXT {
        let body = with(&format!(r#","{name}":["x"]"#));
        assert_eq!(refused(CHAT, &body), Some(NoTokens::Member(name)));
    }
    assert_eq!(refused(CHAT, &with(r#","stop":null,"logprobs":false"#)), None);
    for body in [
        "",
        "[]",
        "{}",
        r#"{"messages":[{"role":"tool","content":"x"}]}"#,
        r#"{"messages":[{"role":"user","content":"x","name":"n"}]}"#,
        r#"{"messages":[{"role":"user","content":[{"type":"image_url","text":"x"}]}]}"#,
        r#"{"messages":[{"role":"user","content":"x"}],"messages":[]}"#,
    ] {
        assert_eq!(refused(CHAT, body), Some(NoTokens::Malformed), "{body}");
    }
    assert_eq!(
        refused(CHAT, r#"{"messages":[]}"#),
        Some(NoTokens::Chat(ChatError::Empty))
    );
    assert_eq!(
        refused("/v1/completions", r#"{"prompt":["a","b"]}"#),
        Some(NoTokens::Malformed)
    );
}

#[test]
fn ids_of_an_answer_become_its_text_whole_and_in_pieces() {
    let tokens = tokens();
    let said = "one \u{1f642} two";
    let ids = tokens.wording.text(said).unwrap();
    let reading = || {
        let body = r#"{"messages":[{"role":"user","content":"x"}]}"#;
        ask(&tokens, CHAT, body).unwrap().unwrap().answer
    };
    let whole = serde_json::json!({"id": "i", "choices": [{"index": 0, "finish_reason": "stop",
        "message": {"role": "assistant", "content": "", "refusal": null}, "anchorhold": {"ids": *ids}}],
        "usage": {"total_tokens": 3}});
    let answer = json(&reading().whole(&tokens, whole.to_string().as_bytes()).unwrap());
    assert_eq!(answer["choices"][0]["message"]["content"], said);
    assert!(answer["choices"][0]["anchorhold"].is_null());
    assert_eq!(answer["usage"]["total_tokens"], 3);

    let (mut reading, mut text) = (reading(), String::new());
    let opening = serde_json::json!({"choices": [{"delta": {"role": "assistant", "content": ""}, "finish_reason": null}]});
    let pieces = ids.iter().map(|id| {
        serde_json::json!({"choices": [{"delta": {"content": ""}, "finish_reason": null, "anchorhold": {"ids": [id]}}]})
    });
    let closing = serde_json::json!({"choices": [{"delta": {}, "finish_reason": "stop"}]});
    let counts = serde_json::json!({"choices": [], "usage": {"total_tokens": 3}});
    for document in std::iter::once(opening).chain(pieces).chain([closing, counts]) {
        let piece = json(&reading.piece(&tokens, document.to_string().as_bytes()).unwrap());
        text.push_str(
            piece["choices"][0]["delta"]["content"]
                .as_str()
                .unwrap_or_default(),
        );
    }
    assert_eq!(text, said);
    assert!(reading.piece(&tokens, br#"{"error":{}}"#).is_none());
}

/// What ends in the middle of a character is replaced at the end, as in the enclave.
#[test]
fn half_a_character_comes_with_the_end() {
    let tokens = tokens();
    let ids = tokens.wording.text("\u{1f642}").unwrap();
    let mut reading = ask(&tokens, "/v1/completions", r#"{"prompt":"x"}"#)
        .unwrap()
        .unwrap()
        .answer;
    let half = serde_json::json!({"choices": [{"text": "", "finish_reason": null, "anchorhold": {"ids": ids[..1]}}]});
    let closing = serde_json::json!({"choices": [{"text": "", "finish_reason": "length"}]});
    let mut text = String::new();
    for document in [half, closing] {
        let piece = json(&reading.piece(&tokens, document.to_string().as_bytes()).unwrap());
        text.push_str(piece["choices"][0]["text"].as_str().unwrap());
    }
    assert!(text.contains('\u{fffd}') || text == "\u{1f642}", "{text:?}");
}
