//! Templates against what transformers renders.

use minijinja::value::Serde;
use serde_json::{Map, Value as Json, json};

use super::*;
use crate::testdata;

fn render(source: &str, variables: &Json) -> Result<String, TemplateError> {
    let template = Template::compile(source).expect("the template compiles");
    template
        .render(Value::from(Serde(variables)))
        .map(|text| text.to_string())
}

#[test]
fn committed_templates_render_as_in_transformers() {
    let reference: Json = testdata::json(testdata::tiny("templates.json"));
    let mut compared = 0;
    for template in reference["templates"].as_array().unwrap() {
        for case in template["cases"].as_array().unwrap() {
            let mut variables: Map<String, Json> = case["variables"].as_object().unwrap().clone();
            for name in ["bos_token", "eos_token"] {
                variables.insert(name.into(), template[name].clone());
            }
            variables.insert("messages".into(), case["messages"].clone());
            variables.insert(
                "add_generation_prompt".into(),
                case["add_generation_prompt"].clone(),
            );
            let found = render(template["template"].as_str().unwrap(), &Json::Object(variables));
            let name = format!("{} {}", template["name"], case["name"]);
            match case["text"].as_str() {
                Some(text) => assert_eq!(found.as_deref(), Ok(text), "{name}"),
                None => assert_eq!(found, Err(TemplateError::Refused), "{name}"),
            }
            compared += 1;
        }
    }
    assert!(compared > 100, "only {compared} cases");
}

#[test]
fn a_template_that_does_not_end_runs_out_of_fuel() {
    let endless = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}";
    assert_eq!(render(endless, &json!({})), Err(TemplateError::TooMuch));
}

#[test]
fn a_template_that_renders_without_end_is_stopped_before_the_memory_is_full() {
    let flood = "{% set much = 'x' * 1000000 %}{% for a in range(99999) %}{{ much }}{% endfor %}";
    assert_eq!(render(flood, &json!({})), Err(TemplateError::TooMuch));
}

#[test]
fn there_is_no_clock_and_no_file() {
    assert_eq!(
        render("{{ strftime_now is defined }}", &json!({}))
            .unwrap()
            .to_lowercase(),
        "false"
    );
    assert_eq!(
        render("{{ strftime_now('%Y') }}", &json!({})),
        Err(TemplateError::Failed)
    );
    assert_eq!(
        render("{% include 'other' %}", &json!({})),
        Err(TemplateError::Failed)
    );
}

#[test]
fn generation_marks_have_no_effect() {
    let source =
        "a{%- generation -%} b {% endgeneration %}c{% if x %}{% generation %}{% endgeneration %}{% endif %}";
    assert_eq!(render(source, &json!({})).as_deref(), Ok("ab c"));
}

#[test]
fn messages_are_data_not_template() {
    let text = "{{ 7 * 7 }} {% raw %}";
    assert_eq!(render("{{ m }}", &json!({"m": text})).as_deref(), Ok(text));
}

#[test]
fn what_is_not_a_template_is_refused() {
    assert!(Template::compile("{% if %}").is_none());
    assert!(Template::compile("{{").is_none());
}
