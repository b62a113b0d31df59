//! What is said, word for word, where people and scripts rely on it; help, versions and completions.
//!
//! Why apart: a change of these words is a change for users, and this file is where it shows.
//!
//! # Invariants
//! Golden texts are whole outputs, not parts.

use std::process::{Command, Stdio};

use anchorhold_tests::process::{Process, run};
use anchorhold_tests::world::{World, text};

use crate::{demo_world, programs, refusal, refused, tiny_world};

#[test]
fn errors_read_like_this() {
    let world = tiny_world();
    let store = text(&world.path("store"));
    let host = programs().host;
    let golden = [
        (
            vec![
                "owner", "keygen", "--store", &store, "--key-id", "demo", "--class", "insecure",
            ],
            1,
            "error: the store has a key of that id\n\n\
             hint: choose another --key-id: a key is never replaced, files are sealed under it\n",
        ),
        (
            vec!["owner", "log", "verify", "--store", "/nowhere"],
            1,
            "error: there is no store in this folder\n\n\
             hint: make one: anchorhold owner keygen --store DIR --key-id ID\n",
        ),
        (
            vec!["owner", "inspect", "/dev/null"],
            1,
            "error: not a sealed model\n\nhint: seal the model's folder first: `anchorhold owner seal`\n",
        ),
        (
            vec!["client", "receipt", "verify", "/nowhere"],
            1,
            "error: cannot read /nowhere: entity not found\n\nhint: check the path and its permissions\n",
        ),
        (
            vec!["operator", "status", "--url", "https://127.0.0.1:1"],
            1,
            "error: cannot connect: connection refused\n\n\
             hint: is the enclave running? Its events say on which port it listens\n",
        ),
        (
            vec!["owner", "keygen", "--store", &store, "--key-id", "Not Portable"],
            2,
            "error: invalid value 'Not Portable' for '--key-id <ID>': use 1 to 64 lower-case letters, digits and '-'\n\n\
             For more information, try '--help'.\n",
        ),
    ];
    for (arguments, status, stderr) in golden {
        let ended = run(host, &arguments).expect(status);
        assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("", stderr));
    }
}

#[test]
fn a_denial_is_a_table_and_its_json_has_every_reason() {
    let mut world = demo_world();
    let _broker = world.start_broker();
    let serving = world.serve();
    // A client that expects another model and accepts no weakened setting.
    let mine = world.manifest();
    world.policy = world
        .policy
        .replace(&mine, &"0".repeat(64))
        .replace(&world.accepted(), "");
    world.write_policies();
    let denied = world.client(serving.port, &["verify"]).expect(3);
    let row = |cells: [&str; 4]| format!("{:8}  {:51}  {:64}  {}\n", cells[0], cells[1], cells[2], cells[3]);
    let expected = [
        "error: the policy denies this enclave\n\n".to_owned(),
        row(["rule", "expected", "found", "what to do"]),
        row([
            "manifest",
            "one of 1 in manifest_sha256",
            &mine,
            "this is another model; if it is the right one, add its digest to manifest_sha256",
        ]),
        row([
            "weakened",
            "no weakened setting beyond those the policy accepts",
            &world.weakened().join(", "),
            "remove the setting, or list it in dangerously_accept_weakened",
        ]),
        "\nhint: see each rule; the policy says what you trust, so change it only when you do\n".to_owned(),
    ]
    .concat();
    // Asking says the same, and prints nothing that could be taken for an answer.
    let asked = world.client(serving.port, &["ask", "Hello!"]).expect(3);
    for denied in [denied, asked] {
        assert_eq!(
            (denied.stdout.as_str(), denied.stderr.as_str()),
            ("", expected.as_str())
        );
    }
    let json = world.client(serving.port, &["verify", "--json"]).expect(3).json();
    let rules: Vec<&str> = json["error"]["denied"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["rule"].as_str().unwrap())
        .collect();
    assert_eq!(rules, ["manifest", "weakened"]);
    assert_eq!(json["error"]["denied"][0]["found"], mine);
}

#[test]
fn standard_output_is_json_and_nothing_else_when_a_script_asks() {
    let world = demo_world();
    let mut broker = world.start_broker();
    broker.says("warning: ");
    let serving = world.serve();
    let url = format!("https://127.0.0.1:{}", serving.port);
    let (store, sealed) = (text(&world.path("store")), text(&world.path("model.sealed")));
    let (policy, config) = (
        text(&world.path("policy.toml")),
        text(&world.path("enclave.toml")),
    );
    let model = text(&World::demo_model());
    let commands = [
        vec!["owner", "inspect", &sealed],
        vec!["owner", "log", "verify", "--store", &store],
        vec!["owner", "log", "show", "--store", &store],
        vec!["operator", "status", "--url", &url],
        vec![
            "publisher",
            "measure",
            "--platform",
            "insecure-simulated",
            "--enclave",
            programs().enclave,
            "--config",
            &config,
        ],
        vec!["client", "manifest", &model],
        vec!["client", "verify", "--url", &url, "--policy", &policy],
        vec![
            "client",
            "ask",
            "--url",
            &url,
            "--policy",
            &policy,
            "What is the capital of France?",
        ],
    ];
    for command in commands {
        let said = run(programs().host, &[command.as_slice(), &["--json"]].concat()).expect(0);
        assert_eq!(said.stdout.lines().count(), 1, "{command:?}: {said:#?}");
        assert!(!said.json().is_null(), "{command:?}");
        let text = run(programs().host, &command).expect(0);
        assert_ne!(text.stdout, said.stdout, "{command:?}: people get text");
    }
    // A pipe that nobody reads ends the command with an error, not with a panic.
    let mut unread = Command::new(programs().host)
        .args(["client", "manifest", &model])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(unread.stdout.take());
    let ended = unread.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(1), "{stderr}");
    assert!(
        stderr.starts_with("error: cannot write to standard output: broken pipe\n"),
        "{stderr}"
    );
}

#[test]
fn wrong_usage_is_two_and_says_where_help_is() {
    for arguments in [
        &["nothing-like-it"][..],
        &["owner", "seal"],
        &["owner", "seal", "--frobnicate"],
        &[
            "client",
            "ask",
            "--url",
            "http://127.0.0.1:1",
            "--policy",
            "p",
            "hello",
        ],
        &[
            "client",
            "ask",
            "--url",
            "https://127.0.0.1:1",
            "--policy",
            "p",
            "--temperature=-0.1",
            "hello",
        ],
        &[
            "client",
            "ask",
            "--url",
            "https://127.0.0.1:1",
            "--policy",
            "p",
            "--json-object",
            "--json-schema",
            "s",
            "hello",
        ],
        &[
            "owner", "keygen", "--store", "s", "--key-id", "k", "--class", "unreal",
        ],
        &["owner", "log", "verify", "--store", "s", "--head", "zz"],
        &["completions", "tcsh"],
    ] {
        let ended = run(programs().host, arguments).expect(2);
        assert_eq!(ended.stdout, "", "{arguments:?}");
        assert!(
            ended.stderr.starts_with("error: ") && ended.stderr.contains("--help"),
            "{ended:#?}"
        );
        // A script gets its document here too.
        let scripted = run(programs().host, &[&["--json"], arguments].concat()).expect(2);
        let error = refusal(&scripted, "usage");
        let said = ended.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(said.contains(error["message"].as_str().unwrap()), "{scripted:#?}");
    }
}

#[test]
fn what_the_parser_cannot_see_is_wrong_usage_too() {
    let token = [
        "client",
        "proxy",
        "--url",
        "https://127.0.0.1:1",
        "--policy",
        "p",
        "--listen",
        "unix:s",
        "--token-file",
        "t",
    ];
    refused(&token, 2, "token_file");
    refused(
        &["operator", "status", "--url", "https://127.0.0.1:99999"],
        2,
        "status",
    );
}

#[test]
fn a_file_that_holds_no_schema_is_refused_before_anything_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("schema.json");
    let ask = |command, more: &[&str], status, code| {
        let path = path.to_str().unwrap();
        let words = ["client", command, "--url", "https://127.0.0.1:1", "--policy", "p"];
        refused(
            &[&words[..], &["--json-schema", path], more].concat(),
            status,
            code,
        );
    };
    ask("ask", &["hello"], 1, "file");
    for (content, status, code) in [
        ("", 2, "json_schema"),
        ("[]", 2, "json_schema"),
        ("{\"type\": \"object\"", 2, "json_schema"),
        (&format!("{{{}}}", " ".repeat(128 << 10)), 1, "file"),
    ] {
        std::fs::write(&path, content).unwrap();
        ask("ask", &["hello"], status, code);
        ask("chat", &[], status, code);
    }
}

#[test]
fn every_command_has_help_that_names_its_options() {
    let host = programs().host;
    let top = run(host, &["--help"]).expect(0).stdout;
    assert!(
        top.contains("Exit status: 0 yes, 1 error, 2 wrong usage, 3 denied by a policy."),
        "{top}"
    );
    let mut commands = 0;
    let mut to_visit = vec![Vec::<String>::new()];
    while let Some(path) = to_visit.pop() {
        let mut arguments: Vec<&str> = path.iter().map(String::as_str).collect();
        arguments.push("--help");
        let help = run(host, &arguments).expect(0);
        assert_eq!(help.stderr, "");
        assert!(help.stdout.contains("Usage: "), "{path:?}: {}", help.stdout);
        commands += 1;
        let listed = help
            .stdout
            .split_once("\nCommands:\n")
            .map_or("", |(_, rest)| rest);
        for line in listed.lines().take_while(|line| !line.is_empty()) {
            let name = line.split_whitespace().next().unwrap();
            if name != "help" && line.starts_with("  ") && !line.starts_with("   ") {
                to_visit.push([path.as_slice(), &[name.to_owned()]].concat());
            }
        }
    }
    assert!(commands >= 20, "only {commands} commands were found");
    let seal = run(host, &["owner", "seal", "--help"]).expect(0).stdout;
    for option in [
        "--store",
        "--kek",
        "--key-id",
        "--model",
        "--out",
        "--name",
        "--private-name",
        "--json",
    ] {
        assert!(seal.contains(option), "{option}: {seal}");
    }
}

#[test]
fn both_programs_say_their_version_and_the_enclave_its_platforms_and_kernels() {
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        run(programs().host, &["--version"]).expect(0).stdout,
        format!("anchorhold {version}\n")
    );
    let enclave = run(programs().enclave, &["--version"]).expect(0);
    let begins = format!(
        "anchorhold-enclave {version}\nplatforms: insecure-simulated snp tdx azure-snp azure-tdx\nkernels: "
    );
    let kernels = enclave
        .stdout
        .strip_prefix(&begins)
        .expect("platforms, then kernels");
    // The last is the fastest, and that is used.
    let (used, here) = kernels.split_once(" (this CPU has ").expect("both");
    let here: Vec<&str> = here.trim_end_matches(")\n").split(' ').collect();
    assert_eq!((here.first(), here.last()), (Some(&"scalar"), Some(&used)));
    // The enclave takes its configuration from its launcher and from nowhere else.
    for argument in ["--help", "--config=enclave.toml", ""] {
        let refused = run(programs().enclave, &[argument]).expect(2);
        assert_eq!(refused.stdout, "");
        assert_eq!(
            refused.stderr,
            "error: anchorhold-enclave takes no arguments but --version, or self-check [--json]\n\n\
             hint: start it with `anchorhold operator launch --config FILE`\n"
        );
    }
}

#[test]
fn completions_are_scripts_that_their_shells_accept() {
    for (shell, check, mark) in [
        ("bash", Some("bash"), "complete -F"),
        ("zsh", None, "#compdef anchorhold"),
        ("fish", None, "complete -c anchorhold"),
    ] {
        let script = run(programs().host, &["completions", shell]).expect(0);
        assert!(script.stdout.contains(mark), "{shell}");
        assert!(
            script.stdout.contains("keygen") && script.stdout.contains("private-name"),
            "{shell}"
        );
        let Some(program) = check else { continue };
        if let Ok(status) = Command::new(program).args(["-n", "-c", &script.stdout]).status() {
            assert!(status.success(), "{shell} does not accept its script");
        }
    }
}

#[test]
fn an_enclave_without_a_launcher_says_how_to_start_it() {
    for (input, code) in [
        (&b""[..], "launch_no_record"),
        (b"version = \"0.1.0\"\n", "launch_no_record"),
        (&[b'A'; 70_000], "launch_too_large"),
    ] {
        let ended = Process::start(
            std::path::Path::new(programs().enclave),
            &[],
            Some(input.to_vec()),
        )
        .ends()
        .expect(2);
        assert_eq!(ended.last_code(), code, "{ended:#?}");
    }
}
