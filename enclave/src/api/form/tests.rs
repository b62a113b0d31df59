//! Each member alone and with the others, as far as no model is needed.

use super::*;

fn read(json: &str) -> Result<Form, ApiError> {
    let mut fields = Fields::parse(json, None)?;
    let form = Form::take(&mut fields)?;
    fields.finish()?;
    Ok(form)
}

const TOOLS: &str = r#""tools":[{"type":"function","function":{"name":"f","description":"d","strict":true,
    "parameters":{"type":"object"}}},{"type":"function","function":{"name":"g"}}]"#;

#[test]
fn formats_of_text_and_of_json_are_taken() {
    for text in [
        "{}",
        r#"{"response_format":null}"#,
        r#"{"response_format":{"type":"text"}}"#,
    ] {
        assert!(matches!(read(text), Ok(Form::Text)), "{text}");
    }
    let object = read(r#"{"response_format":{"type":"json_object"}}"#);
    assert!(matches!(object, Ok(Form::Json(Format::Object))));
    let schema = r#"{"response_format":{"type":"json_schema","json_schema":
        {"name":"n-1","description":"d","strict":true,"schema":{"type": "object"}}}}"#;
    let Ok(Form::Json(Format::Schema(text))) = read(schema) else {
        panic!("it is a schema");
    };
    assert_eq!(*text, r#"{"type": "object"}"#);
}

#[test]
fn tools_are_taken_with_each_choice() {
    for (more, taken) in [
        ("", true),
        (r#","tool_choice":"auto""#, true),
        (r#","tool_choice":"required","parallel_tool_calls":false"#, true),
        (
            r#","tool_choice":{"type":"function","function":{"name":"g"}}"#,
            true,
        ),
        (r#","tool_choice":"none""#, false),
        (
            r#","tool_choice":"required","response_format":{"type":"json_object"}"#,
            true,
        ),
        (r#","response_format":{"type":"json_object"}"#, true),
        (
            r#","tool_choice":"none","response_format":{"type":"json_object"}"#,
            false,
        ),
    ] {
        let form = read(&format!("{{{TOOLS}{more}}}")).unwrap_or_else(|error| panic!("{more}: {error}"));
        assert_eq!(form.tools().is_some(), taken, "{more}");
        let formatted = matches!(form, Form::Json(_) | Form::Either(..));
        assert_eq!(formatted, more.contains("response_format"), "{more}");
    }
}

#[test]
fn what_is_not_known_is_refused_by_name() {
    let tools = |inside: &str| format!(r#"{{"tools":[{inside}]}}"#);
    for (json, param) in [
        (
            r#"{"response_format":"text"}"#.to_owned(),
            Some("response_format"),
        ),
        (r#"{"response_format":{}}"#.to_owned(), Some("type")),
        (
            r#"{"response_format":{"type":"grammar"}}"#.to_owned(),
            Some("type"),
        ),
        (
            r#"{"response_format":{"type":"text","schema":{}}}"#.to_owned(),
            Some("schema"),
        ),
        (
            r#"{"response_format":{"type":"json_schema"}}"#.to_owned(),
            Some("json_schema"),
        ),
        (
            r#"{"response_format":{"type":"json_schema","json_schema":{"schema":{}}}}"#.to_owned(),
            Some("name"),
        ),
        (
            r#"{"response_format":{"type":"json_schema","json_schema":{"name":"a b","schema":{}}}}"#
                .to_owned(),
            Some("name"),
        ),
        (
            r#"{"response_format":{"type":"json_schema","json_schema":{"name":"a"}}}"#.to_owned(),
            Some("schema"),
        ),
        (
            r#"{"response_format":{"type":"json_schema","json_schema":{"name":"a","schema":{},"strict":1}}}"#
                .to_owned(),
            Some("strict"),
        ),
        (tools(""), Some("tools")),
        (tools("7"), Some("tools")),
        (tools(r#"{"type":"custom"}"#), Some("type")),
        (tools(r#"{"type":"function"}"#), Some("function")),
        (tools(r#"{"type":"function","function":{}}"#), Some("name")),
        (
            tools(r#"{"type":"function","function":{"name":"a b"}}"#),
            Some("tools"),
        ),
        (
            tools(r#"{"type":"function","function":{"name":"a","canary":1}}"#),
            None,
        ),
        (
            tools(&[r#"{"type":"function","function":{"name":"a"}}"#; 2].join(",")),
            Some("tools"),
        ),
        (
            tools(&[r#"{"type":"function","function":{"name":"a"}}"#; 129].join(",")),
            Some("tools"),
        ),
        (format!(r#"{{{TOOLS},"tool_choice":"any"}}"#), Some("tool_choice")),
        (
            format!(r#"{{{TOOLS},"tool_choice":{{"type":"function","function":{{"name":"h"}}}}}}"#),
            Some("tool_choice"),
        ),
        (
            format!(r#"{{{TOOLS},"tool_choice":{{"type":"allowed_tools"}}}}"#),
            Some("type"),
        ),
        (r#"{"tool_choice":"auto"}"#.to_owned(), Some("tool_choice")),
        (
            r#"{"parallel_tool_calls":true}"#.to_owned(),
            Some("parallel_tool_calls"),
        ),
    ] {
        let error = read(&json).err().expect("it is refused");
        assert_eq!(error.param(), param, "{json}");
        assert!(!error.to_string().contains("canary"));
    }
    assert!(matches!(read(r#"{"tool_choice":"none"}"#), Ok(Form::Text)));
}
