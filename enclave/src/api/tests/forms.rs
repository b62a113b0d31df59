//! Answers held to forms, of a real small model.

use super::*;

/// Shows the Hermes form, and is short: the model's context is.
pub(super) const HERMES: &str = "{% for m in messages %}{{ m.content }}{% for c in m.tool_calls or [] %}{{ c.function.name }}{% endfor %}\
    {% endfor %}{% if tools %}{{ tools[0].function.name }}{# <tool_call> \"arguments\" </tool_call> #}{% endif %}";

fn enclave() -> Enclave {
    Enclave::around(crate::engine::demo_model_with(HERMES), Seen::default(), |_| {})
}

const SCHEMA: &str = r#"{"type":"object","properties":{"town":{"enum":["Paris","Rome"]},"open":{"type":"boolean"}},
    "required":["town","open"],"additionalProperties":false}"#;

fn schema(schema: &str) -> String {
    format!(
        r#","temperature":0,"max_tokens":80,"response_format":{{"type":"json_schema","json_schema":{{"name":"n","strict":true,"schema":{schema}}}}}"#
    )
}

fn tools(more: &str) -> String {
    format!(
        r#","temperature":0,"max_tokens":120,"tools":[{{"type":"function","function":{{"name":"visit","parameters":{SCHEMA}}}}}]{more}"#
    )
}

fn check(arguments: &str) {
    let value: Value = serde_json::from_str(arguments).unwrap();
    assert!(["Paris", "Rome"].map(Value::from).contains(&value["town"]));
    assert!(value["open"].is_boolean());
    assert_eq!(value.as_object().unwrap().len(), 2);
}

async fn whole(enclave: &Enclave, more: &str) -> Value {
    let request = chat("Paris?", more);
    let answer = enclave.post("/v1/chat/completions", request.clone()).await;
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    let receipt = answer.headers[RECEIPT].to_str().unwrap();
    let receipt = enclave.receipt(receipt, request.as_bytes(), &[&answer.body]);
    let document = answer.json();
    assert_eq!(
        document["usage"]["completion_tokens"],
        receipt.receipt().completion_tokens
    );
    document
}

#[tokio::test]
async fn an_answer_is_json_of_its_schema() {
    let enclave = enclave();
    let document = whole(&enclave, &schema(SCHEMA)).await;
    let choice = &document["choices"][0];
    assert_eq!(choice["finish_reason"], "stop");
    check(choice["message"]["content"].as_str().unwrap());
    let object = r#","temperature":0,"max_tokens":60,"response_format":{"type":"json_object"}"#;
    let document = whole(&enclave, object).await;
    let text = document["choices"][0]["message"]["content"].as_str().unwrap();
    assert!(text.starts_with('{'), "{text}");
    if document["choices"][0]["finish_reason"] == "stop" {
        assert!(serde_json::from_str::<Value>(text).unwrap().is_object());
    }
}

#[tokio::test]
async fn calls_are_told_whole_and_in_pieces() {
    let enclave = enclave();
    for choice in [
        r#""required""#,
        r#"{"type":"function","function":{"name":"visit"}}"#,
    ] {
        let more = tools(&format!(r#","parallel_tool_calls":false,"tool_choice":{choice}"#));
        let document = whole(&enclave, &more).await;
        let told = &document["choices"][0];
        assert_eq!(told["finish_reason"], "tool_calls");
        assert!(told["message"]["content"].is_null());
        let calls = told["message"]["tool_calls"].as_array().unwrap();
        assert_eq!(calls.len(), 1);
        assert_eq!(
            (&calls[0]["type"], &calls[0]["function"]["name"]),
            (&"function".into(), &"visit".into())
        );
        assert_eq!(calls[0]["id"].as_str().unwrap().len(), 9);
        check(calls[0]["function"]["arguments"].as_str().unwrap());

        let request = chat("Paris?", &format!("{more},\"stream\":true"));
        let answer = enclave.post("/v1/chat/completions", request.clone()).await;
        let text = std::str::from_utf8(&answer.body).unwrap();
        let events: Vec<&str> = text.split_terminator("\n\n").collect();
        assert_eq!(events.last(), Some(&"data: [DONE]"));
        let payloads: Vec<&[u8]> = events
            .iter()
            .filter_map(|event| {
                event
                    .strip_prefix("data: {")
                    .map(|_| &event.as_bytes()["data: ".len()..])
            })
            .collect();
        let receipt = events
            .iter()
            .find_map(|event| event.strip_prefix(": anchorhold-receipt "))
            .unwrap();
        let receipt = enclave.receipt(receipt, request.as_bytes(), &payloads);
        // The model ended it.
        let ended = anchorhold_attestation::receipt::FinishReason::Stop;
        assert_eq!(receipt.receipt().finish_reason, ended);
        let chunks: Vec<Value> = payloads
            .iter()
            .map(|payload| serde_json::from_slice(payload).unwrap())
            .collect();
        let pieces: Vec<&Value> = chunks
            .iter()
            .filter_map(|chunk| chunk["choices"][0]["delta"]["tool_calls"].get(0))
            .collect();
        assert_eq!(pieces[0]["function"]["name"], "visit");
        assert!(pieces[0]["id"].is_string() && pieces[0]["type"] == "function");
        assert!(pieces.len() > 2, "arguments come piece by piece");
        assert!(
            pieces[1..]
                .iter()
                .all(|piece| piece.get("id").is_none() && piece["index"] == 0)
        );
        let arguments: String = pieces
            .iter()
            .map(|piece| piece["function"]["arguments"].as_str().unwrap())
            .collect();
        assert_eq!(arguments, calls[0]["function"]["arguments"]);
        assert_eq!(
            chunks.last().unwrap()["choices"][0]["finish_reason"],
            "tool_calls"
        );
    }
    let none = whole(&enclave, &tools(r#","tool_choice":"none""#)).await;
    assert!(none["choices"][0]["message"].get("tool_calls").is_none());
    assert!(none["choices"][0]["message"]["content"].is_string());
    let auto = whole(&enclave, &tools("")).await;
    assert!(auto["choices"][0]["finish_reason"].is_string());
}

/// Content, calls and reason of a streamed answer.
async fn streamed(enclave: &Enclave, more: &str) -> (String, Vec<(String, String)>, Value) {
    let answer = enclave
        .post(
            "/v1/chat/completions",
            chat("Paris?", &format!("{more},\"stream\":true")),
        )
        .await;
    let text = std::str::from_utf8(&answer.body).unwrap();
    let (mut content, mut calls, mut reason) = (String::new(), Vec::new(), Value::Null);
    for payload in text
        .split_terminator("\n\n")
        .filter_map(|event| event.strip_prefix("data: {"))
    {
        let chunk: Value = serde_json::from_str(&format!("{{{payload}")).unwrap();
        let choice = &chunk["choices"][0];
        content.push_str(choice["delta"]["content"].as_str().unwrap_or_default());
        for piece in choice["delta"]["tool_calls"].as_array().into_iter().flatten() {
            let function = &piece["function"];
            if let Some(name) = function["name"].as_str() {
                calls.push((name.to_owned(), String::new()));
            }
            let arguments = function["arguments"].as_str().unwrap();
            calls.last_mut().unwrap().1.push_str(arguments);
        }
        if !choice["finish_reason"].is_null() {
            reason = choice["finish_reason"].clone();
        }
    }
    (content, calls, reason)
}

#[tokio::test]
async fn where_it_may_call_what_it_says_has_its_format_whole_and_in_pieces() {
    let enclave = enclave();
    let stay = r#"{"type":"object","properties":{"stay":{"type":"boolean"}},"required":["stay"],"additionalProperties":false}"#;
    let (mut said, mut called) = (0, 0);
    for seed in 0..24 {
        let more = format!(
            r#","temperature":2,"seed":{seed},"max_tokens":120,"tools":[{{"type":"function","function":{{"name":"visit","parameters":{SCHEMA}}}}}],
            "response_format":{{"type":"json_schema","json_schema":{{"name":"n","schema":{stay}}}}}"#
        );
        let document = whole(&enclave, &more).await;
        let choice = &document["choices"][0];
        let content = choice["message"]["content"].as_str();
        let calls: Vec<(String, String)> = choice["message"]["tool_calls"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|call| {
                let text = |name: &str| call["function"][name].as_str().unwrap().to_owned();
                (text("name"), text("arguments"))
            })
            .collect();
        match choice["finish_reason"].as_str().unwrap() {
            "tool_calls" => {
                assert_eq!(content, None);
                assert!(calls.iter().all(|(name, _)| name == "visit"));
                calls.iter().for_each(|(_, arguments)| check(arguments));
                called += 1;
            }
            "stop" => {
                let value: Value = serde_json::from_str(content.unwrap()).unwrap();
                assert!(value["stay"].is_boolean() && value.as_object().unwrap().len() == 1);
                assert!(calls.is_empty());
                said += 1;
            }
            other => assert_eq!(other, "length"),
        }
        let pieces = streamed(&enclave, &more).await;
        let expected = (
            content.unwrap_or_default().to_owned(),
            calls,
            choice["finish_reason"].clone(),
        );
        assert_eq!(pieces, expected);
    }
    assert!(said > 0 && called > 0, "said {said}, called {called}");
    let bad = format!(
        "{},{}",
        tools(""),
        r#""response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{"not":{}}}}"#
    );
    let answer = enclave.post("/v1/chat/completions", chat("x", &bad)).await;
    let refused = (
        400,
        "invalid_schema".to_owned(),
        Some("response_format".to_owned()),
    );
    assert_eq!(answer.refusal(), refused);
}

#[tokio::test]
async fn a_conversation_with_calls_goes_on() {
    let enclave = enclave();
    let request = format!(
        r#"{{"model":"demo","messages":[{{"role":"user","content":"Paris?"}},
        {{"role":"assistant","content":null,"tool_calls":[{{"id":"abcdefghi","type":"function",
            "function":{{"name":"visit","arguments":"{{\"town\":\"Paris\"}}"}}}}]}},
        {{"role":"tool","tool_call_id":"abcdefghi","content":"closed"}}],"max_tokens":4{}}}"#,
        r#","tools":[{"type":"function","function":{"name":"visit"}}]"#
    );
    let answer = enclave.post("/v1/chat/completions", request).await;
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
}

#[tokio::test]
async fn what_cannot_be_kept_to_is_400_with_the_member_and_nothing_of_the_schema() {
    let enclave = enclave();
    let canary = "canary-of-a-schema";
    let deep = format!(
        "{}{{}}{}",
        r#"{"type":"array","items":"#.repeat(60),
        "}".repeat(60)
    );
    for (bad, code) in [
        (format!(r#"{{"type":"{canary}"}}"#), "invalid_schema"),
        (format!(r#"{{"{canary}":1}}"#), "invalid_schema"),
        (format!(r#"{{"$ref":"https://{canary}/"}}"#), "invalid_schema"),
        (
            format!(r#"{{"type":"string","pattern":"{canary}(?=x)"}}"#),
            "invalid_schema",
        ),
        (r#"{"not":{}}"#.to_owned(), "invalid_schema"),
        (
            r#"{"type":"string","maxLength":1000000000}"#.to_owned(),
            "schema_too_complex",
        ),
        (
            r#"{"type":"integer","multipleOf":999983}"#.to_owned(),
            "schema_too_complex",
        ),
        (
            r##"{"$ref":"#","type":"object"}"##.to_owned(),
            "schema_too_complex",
        ),
        (deep, "schema_too_complex"),
        (
            format!(r#"{{"enum":[{}1]}}"#, "1,".repeat(20_000)),
            "schema_too_complex",
        ),
    ] {
        let answer = enclave
            .post("/v1/chat/completions", chat("x", &schema(&bad)))
            .await;
        let param = Some("response_format".to_owned());
        assert_eq!(answer.refusal(), (400, code.to_owned(), param), "{bad:.80}");
        assert!(!String::from_utf8_lossy(&answer.body).contains(canary));
        let tool =
            format!(r#","tools":[{{"type":"function","function":{{"name":"f","parameters":{bad}}}}}]"#);
        let answer = enclave.post("/v1/chat/completions", chat("x", &tool)).await;
        let (status, _, param) = answer.refusal();
        assert_eq!((status, param.as_deref()), (400, Some("tools")), "{bad:.80}");
        assert!(!String::from_utf8_lossy(&answer.body).contains(canary));
    }
    // It goes on.
    assert_eq!(
        enclave
            .post("/v1/chat/completions", chat("x", ",\"max_tokens\":1"))
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn a_model_whose_template_lists_no_tools_refuses_them() {
    let enclave = Enclave::around(crate::engine::demo_model(), Seen::default(), |_| {});
    let answer = enclave.post("/v1/chat/completions", chat("x", &tools(""))).await;
    let refused = (400, "tools_not_supported".to_owned(), Some("tools".to_owned()));
    assert_eq!(answer.refusal(), refused);
    let document = whole(&enclave, &schema(SCHEMA)).await;
    check(document["choices"][0]["message"]["content"].as_str().unwrap());
    let embedder = Enclave::embedder();
    let answer = embedder
        .post("/v1/chat/completions", chat("x", &schema(SCHEMA)))
        .await;
    assert_eq!(answer.refusal().1, "wrong_model_kind");
}

#[tokio::test]
async fn held_answers_are_the_same_alone_and_beside_others() {
    let enclave = enclave();
    let mores: Vec<String> = (0..6)
        .map(|number| match number % 3 {
            0 => format!("{},\"seed\":{number}", schema(SCHEMA)),
            1 => format!("{},\"seed\":{number}", tools(r#","tool_choice":"required""#)),
            _ => format!(",\"max_tokens\":30,\"seed\":{number}"),
        })
        .collect();
    let strip = |mut document: Value| {
        document["id"].take();
        for call in document["choices"][0]["message"]["tool_calls"]
            .as_array_mut()
            .into_iter()
            .flatten()
        {
            call["id"].take();
        }
        document
    };
    let mut alone = Vec::new();
    for more in &mores {
        alone.push(strip(whole(&enclave, more).await));
    }
    let mut together = tokio::task::JoinSet::new();
    let enclave = Arc::new(enclave);
    for (number, more) in mores.into_iter().enumerate() {
        let enclave = Arc::clone(&enclave);
        together.spawn(async move { (number, whole(&enclave, &more).await) });
    }
    while let Some(done) = together.join_next().await {
        let (number, document) = done.unwrap();
        assert_eq!(strip(document), alone[number]);
    }
}
