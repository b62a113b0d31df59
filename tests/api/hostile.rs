//! Bodies and connections made to hurt: each meets a clear error or a bound, and the server goes on.
//!
//! Why apart: none of this is a question. What counts is that it ends, how, and who else notices.
//!
//! # Invariants
//! Every test ends with a stranger being answered.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anchorhold_tests::process::PATIENCE;

use crate::served::{Served, chat, completion};
use crate::wire::{Wire, handshake};

/// What any refusal may take on a busy machine, and far less than a mistake that is quadratic in a megabyte.
const SOON: Duration = Duration::from_secs(20);

#[test]
fn a_megabyte_of_prompt_is_refused_in_words() {
    let served = Served::shared();
    let began = Instant::now();
    let words = "word ".repeat(200_000);
    for (text, what) in [
        (words.clone(), "words"),
        ("a".repeat(1_000_000), "one word"),
        ("\u{1f642}".repeat(250_000), "characters of four bytes"),
        (" ".repeat(1_000_000), "spaces"),
        ("<|user|>".repeat(125_000), "spelled control tokens"),
        ("\u{0}".repeat(160_000), "escapes"),
    ] {
        for (path, body) in [
            ("/v1/chat/completions", chat(&text, "")),
            ("/v1/completions", completion(&text, "")),
        ] {
            let answer = served.post(path, body);
            assert_eq!(
                answer.refusal(),
                (400, "context_length_exceeded".to_owned(), None),
                "{what} to {path}"
            );
            assert!(
                answer.text().trim_end().len() < 512,
                "the refusal does not repeat the prompt"
            );
        }
    }
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    // Many messages, each small; and one body above the limit, whose rest is not waited for.
    let many = format!(
        r#"{{"model":"demo","messages":[{}]}}"#,
        vec![r#"{"role":"user","content":"x"}"#; 4_097].join(",")
    );
    assert_eq!(
        served.post("/v1/chat/completions", many).refusal().2.as_deref(),
        Some("messages")
    );
    let mut wire = served.bound();
    wire.send(b"POST /v1/completions HTTP/1.1\r\nhost: e\r\ncontent-type: application/json\r\ncontent-length: 3000000\r\n\r\n{").unwrap();
    assert_eq!(wire.answer().unwrap().refusal().1, "request_too_large");
    assert!(
        wire.is_ended(),
        "what was not read is not taken for the next request"
    );
    // The same without a length: the limit holds for what comes.
    let mut wire = served.bound();
    wire.send(b"POST /v1/completions HTTP/1.1\r\nhost: e\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n").unwrap();
    let chunk = [b"10000\r\n".as_slice(), &[b'x'; 0x10000], b"\r\n"].concat();
    // The server may have closed its side before the last of it.
    let sent = (0..64).take_while(|_| wire.send(&chunk).is_ok()).count();
    assert!(sent >= 2_097_152 / 0x10000, "{sent}");
    if let Ok(answer) = wire.answer() {
        assert_eq!(answer.refusal().1, "request_too_large");
    }
    served.still_answers();
}

#[test]
fn bodies_that_are_no_question_are_refused_each_in_its_words() {
    let served = Served::shared();
    let stops = format!(r#","stop":[{}]"#, vec![r#""x""#; 10_000].join(","));
    let long_stop = format!(r#","stop":"{}""#, "x".repeat(257));
    let deep = |depth: usize| {
        format!(
            r#"{{"model":"demo","messages":{}{}}}"#,
            "[".repeat(depth),
            "]".repeat(depth)
        )
    };
    let hidden = format!(
        r#"{{"model":"demo","messages":[{{"role":"user","content":"x"}}],"tools":{}{}}}"#,
        "[".repeat(500_000),
        "]".repeat(500_000)
    );
    let objects = format!(
        r#","prompt":{}1{}"#,
        r#"{"a":"#.repeat(150_000),
        "}".repeat(150_000)
    );
    let cases: Vec<(Vec<u8>, &str, Option<&str>)> = vec![
        (chat("x", &stops).into(), "invalid_value", Some("stop")),
        (chat("x", &long_stop).into(), "invalid_value", Some("stop")),
        (
            chat("x", r#","stop":["a","b","c","d","e"]"#).into(),
            "invalid_value",
            Some("stop"),
        ),
        (chat("x", r#","stop":"""#).into(), "invalid_value", Some("stop")),
        (
            b"{\"model\":\"demo\",\"messages\":[{\"role\":\"user\",\"content\":\"\xc3\x28\"}]}".to_vec(),
            "invalid_utf8",
            None,
        ),
        (b"\xff\xfe{\0}\0".to_vec(), "invalid_utf8", None),
        (
            br#"{"model":"demo","messages":[{"role":"user","content":"\ud800"}]}"#.to_vec(),
            "invalid_value",
            Some("content"),
        ),
        (deep(1_000).into(), "invalid_json", Some("messages")),
        (deep(500_000).into(), "invalid_json", Some("messages")),
        (hidden.into(), "invalid_json", Some("tools")),
        (
            chat("x", &objects).into(),
            "unsupported_parameter",
            Some("prompt"),
        ),
        ("[".repeat(1_000_000).into(), "invalid_json", None),
        (b"".to_vec(), "invalid_json", None),
        (b"null".to_vec(), "invalid_json", None),
        (
            br#"{"model":"demo","model":"demo"}"#.to_vec(),
            "duplicate_parameter",
            Some("model"),
        ),
        (
            chat("x", r#","temperature":1e400"#)
                .replace(r#""temperature":0,"#, "")
                .into(),
            "invalid_value",
            Some("temperature"),
        ),
        (
            chat("x", r#","seed":99999999999999999999"#).into(),
            "invalid_value",
            Some("seed"),
        ),
        (
            chat("x", r#","max_tokens":18446744073709551616"#).into(),
            "invalid_value",
            Some("max_tokens"),
        ),
    ];
    let mut wire = served.bound();
    for (body, code, param) in cases {
        let began = Instant::now();
        let answer = wire.post("/v1/chat/completions", &body);
        let shown = String::from_utf8_lossy(&body[..body.len().min(90)]).into_owned();
        assert_eq!(
            answer.refusal(),
            (400, code.to_owned(), param.map(str::to_owned)),
            "{shown}"
        );
        assert!(
            began.elapsed() < SOON && answer.text().trim_end().len() < 512,
            "{shown}"
        );
    }
    wire.send(b"POST /v1/completions HTTP/1.1\r\nhost: e\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\n{}").unwrap();
    assert_eq!(
        wire.answer().unwrap().refusal(),
        (415, "unsupported_media_type".to_owned(), None)
    );
    served.still_answers();
}

#[test]
fn heads_that_are_too_much_are_cut() {
    let served = Served::shared();
    let large = format!("x-large: {}\r\n", "x".repeat(20 * 1024));
    let many: String = (0..200).map(|number| format!("x-{number}: 1\r\n")).collect();
    for headers in [large, many] {
        let mut wire = served.bound();
        wire.send(format!("GET /v1/models HTTP/1.1\r\nhost: e\r\n{headers}\r\n").as_bytes())
            .unwrap();
        let status = wire.head().map(|answer| answer.status);
        assert!(
            status.as_ref().is_ok_and(|status| *status == 431) || status.is_err(),
            "{status:?}"
        );
        assert!(wire.is_ended());
    }
    for rubbish in [
        "\x16\x03\x01",
        "GET\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
    ] {
        let mut wire = served.bound();
        wire.send(rubbish.as_bytes()).unwrap();
        wire.send(b"\r\n\r\n").ok();
        let status = wire.head().map(|answer| answer.status);
        assert!(
            status.as_ref().is_ok_and(|status| *status >= 400) || status.is_err(),
            "{rubbish}: {status:?}"
        );
    }
    // Plain HTTP, and a handshake of nonsense.
    for bytes in [
        "GET /v1/models HTTP/1.1\r\nhost: e\r\n\r\n".as_bytes(),
        &[0x16; 4096],
    ] {
        let mut tcp = TcpStream::connect(("127.0.0.1", served.port)).unwrap();
        tcp.set_read_timeout(Some(PATIENCE)).unwrap();
        tcp.write_all(bytes).unwrap();
        let mut answer = Vec::new();
        // A reset is an end, too.
        let _ = tcp.read_to_end(&mut answer);
        assert!(answer.len() < 64 && !answer.starts_with(b"HTTP"), "{answer:?}");
    }
    served.still_answers();
}

/// How long until the other side ends the connection, at most `most`.
fn time_to_end(mut step: impl FnMut() -> bool, most: Duration) -> Duration {
    let began = Instant::now();
    while !step() {
        assert!(
            began.elapsed() < most,
            "the connection is still held after {most:?}"
        );
        std::thread::sleep(Duration::from_millis(100));
    }
    began.elapsed()
}

#[test]
fn slow_and_half_open_connections_are_ended() {
    let served = Served::demo("\n[limits]\nheader_seconds = 2\nidle_seconds = 3\nrequest_seconds = 2\n");
    let most = Duration::from_secs(30);
    let (port, served) = (served.port, &served);
    std::thread::scope(|scope| {
        // A TCP connection that says nothing.
        let silent = scope.spawn(move || {
            let mut tcp = TcpStream::connect(("127.0.0.1", port)).unwrap();
            tcp.set_read_timeout(Some(most)).unwrap();
            let began = Instant::now();
            let ended = !matches!(tcp.read(&mut [0]), Ok(1)) && began.elapsed() < most;
            (ended, began.elapsed())
        });
        // A handshake that stops in its middle.
        let half = scope.spawn(move || {
            let mut tcp = TcpStream::connect(("127.0.0.1", port)).unwrap();
            let mut hello = Vec::new();
            handshake().write_tls(&mut hello).unwrap();
            let (first, rest) = hello.split_at(hello.len() / 2);
            tcp.write_all(first).unwrap();
            // The rest a byte at a time: each is in time, all of them are not.
            let mut rest = rest.iter();
            time_to_end(
                || rest.next().is_none_or(|byte| tcp.write_all(&[*byte]).is_err()),
                most,
            );
        });
        // A head that comes a byte at a time.
        let head = scope.spawn(move || {
            let mut wire = served.bound();
            let mut bytes = b"GET /v1/models HTTP/1.1\r\nhost: e\r\nx-slow: "
                .iter()
                .chain(std::iter::repeat(&b'z'));
            time_to_end(|| wire.send(&[*bytes.next().unwrap()]).is_err(), most)
        });
        // A body that does.
        let body = scope.spawn(move || {
            let mut wire = served.bound();
            wire.send(b"POST /v1/completions HTTP/1.1\r\nhost: e\r\ncontent-type: application/json\r\ncontent-length: 100000\r\n\r\n").unwrap();
            time_to_end(|| wire.send(b" ").is_err(), most)
        });
        // A bound connection that rests, and one that nobody bound.
        let rests = [true, false].map(|bound| {
            scope.spawn(move || {
                let mut wire = if bound { served.bound() } else { served.connect() };
                wire.patience(most);
                let began = Instant::now();
                assert!(wire.is_ended());
                began.elapsed()
            })
        });
        let (ended, after) = silent.join().unwrap();
        assert!(ended && after >= Duration::from_secs(1), "{after:?}");
        half.join().unwrap();
        // Not at once, either: what is slow because its network is gets its time.
        assert!(head.join().unwrap() >= Duration::from_secs(1));
        assert!(body.join().unwrap() >= Duration::from_secs(2));
        for rest in rests {
            assert!((2..30).contains(&rest.join().unwrap().as_secs()));
        }
    });
    served.still_answers();
}

#[test]
fn a_thousand_idle_connections_leave_room_for_one_that_asks() {
    let served = Served::demo("");
    let began = Instant::now();
    let mut idle: Vec<Wire> = std::thread::scope(|scope| {
        let quarter = || (0..250).map(|_| served.bound()).collect::<Vec<_>>();
        let workers: Vec<_> = (0..4).map(|_| scope.spawn(quarter)).collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().unwrap())
            .collect()
    });
    assert_eq!(idle.len(), 1_000);
    let opened = began.elapsed();
    let began = Instant::now();
    served.still_answers();
    assert!(
        began.elapsed() < SOON,
        "{:?} beside a thousand that opened in {opened:?}",
        began.elapsed()
    );
    // None was thrown out for it.
    for wire in idle.iter_mut().step_by(111) {
        assert_eq!(wire.get("/v1/models").status, 200);
    }
    // Above the limit a connection waits, and is let in when another leaves.
    let full: Vec<TcpStream> = (0..400)
        .map(|_| TcpStream::connect(("127.0.0.1", served.port)).unwrap())
        .collect();
    drop((full, idle));
    served.still_answers();
}
