//! Chat templates in the manner of each family, against what transformers' Jinja makes of them, and templates that are
//! wrong or mean harm.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rankscope::checkpoint::{ChatTemplate, Checkpoint, Message};
use serde_json::{Value, json};
use tempfile::TempDir;

/// 2024-12-31 23:59:59 in UTC, as in `expected.py`.
fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_735_689_599)
}

/// A model's folder with these files beside its weights.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let header = r#"{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
    let weights = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[0; 4]].concat();
    std::fs::write(folder.path().join("model.safetensors"), weights).unwrap();
    files.iter().for_each(|(name, text)| std::fs::write(folder.path().join(name), text).unwrap());
    folder
}

fn read(files: &[(&str, &str)]) -> Result<ChatTemplate, String> {
    let folder = folder(files);
    Checkpoint::open(folder.path()).unwrap().chat_template().map_err(|error| error.to_string())
}

/// What a template of this source makes of a question.
fn asked(source: &str) -> Result<String, String> {
    let template = read(&[("chat_template.jinja", source)]).unwrap();
    template.render(&Message::asked(None, "Hi"), now()).map_err(|error| error.to_string())
}

fn messages(chat: &Value) -> Vec<Message> {
    let text = |message: &Value, key: &str| message[key].as_str().unwrap().to_owned();
    let message = |m: &Value| Message { role: text(m, "role"), content: text(m, "content") };
    chat.as_array().unwrap().iter().map(message).collect()
}

#[test]
fn every_familys_template_writes_what_the_reference_writes() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/chat");
    let expected: Value = serde_json::from_slice(&std::fs::read(data.join("expected.json")).unwrap()).unwrap();
    let families = expected.as_object().unwrap();
    assert!(families.len() >= 13, "{}", families.len());
    for (family, of) in families {
        let source = std::fs::read_to_string(data.join(format!("{family}.jinja"))).unwrap();
        let tokens = of["tokens"].to_string();
        let template = read(&[("chat_template.jinja", &source), ("tokenizer_config.json", &tokens)]).unwrap();
        for chat in of["chats"].as_array().unwrap() {
            let written = template.render(&messages(&chat["messages"]), now());
            match (written, chat["text"].as_str(), chat["error"].as_str()) {
                (Ok(written), Some(text), _) => assert_eq!(written, text, "{family}"),
                (Err(error), _, Some(reason)) => assert!(error.to_string().contains(reason), "{family}: {error}"),
                (written, ..) => panic!("{family}: {written:?} instead of {chat}"),
            }
        }
    }
}

#[test]
fn a_template_is_found_where_transformers_finds_it() {
    let source = |files: &[(&str, &str)]| read(files).unwrap().render(&Message::asked(None, "Hi"), now()).unwrap();
    let settings =
        json!({"chat_template": "settings {{ eos_token }}", "eos_token": {"content": "<end>", "special": true}})
            .to_string();
    let older = json!({"chat_template": "older {{ messages[0].content }}"}).to_string();
    let of_settings = ("tokenizer_config.json", &*settings);
    assert_eq!(source(&[of_settings]), "settings <end>");
    assert_eq!(source(&[of_settings, ("special_tokens_map.json", r#"{"eos_token": "<other>"}"#)]), "settings <end>");
    assert_eq!(source(&[of_settings, ("chat_template.json", &older)]), "older Hi");
    let file = ("chat_template.jinja", "file{{ bos_token }}");
    assert_eq!(source(&[of_settings, ("chat_template.json", &older), file]), "file");
    let named = json!({"chat_template": [{"name": "tool_use", "template": "t"}, {"name": "default", "template": "d"}]})
        .to_string();
    assert_eq!(source(&[("tokenizer_config.json", &named)]), "d");
}

#[test]
fn a_template_that_cannot_be_had_is_told_in_a_line() {
    let reason = |files: &[(&str, &str)]| read(files).unwrap_err();
    let message = reason(&[]);
    assert!(message.contains("no chat template here") && message.contains("plain text"), "{message}");
    assert!(reason(&[("tokenizer_config.json", r#"{"chat_template": null}"#)]).contains("no chat template here"));
    assert!(reason(&[("tokenizer_config.json", r#"{"chat_template": 7}"#)]).contains("neither text nor a list"));
    let nameless = r#"{"chat_template": [{"name": "rag", "template": ""}]}"#;
    assert!(reason(&[("tokenizer_config.json", nameless)]).contains("\"default\""));
    assert!(reason(&[("chat_template.json", "[]")]).starts_with("chat_template.json: "));
    assert!(reason(&[("chat_template.jinja", &"x".repeat(1 << 20))]).contains("256 KiB"));
    let folder = folder(&[]);
    std::fs::write(folder.path().join("chat_template.jinja"), b"\xff").unwrap();
    let message = Checkpoint::open(folder.path()).unwrap().chat_template().unwrap_err().to_string();
    assert!(message.contains("not valid UTF-8"), "{message}");
}

#[test]
fn a_template_that_is_wrong_is_told_in_a_line() {
    let cases = [
        ("a\n{{ b", "line 2"),
        ("\n\n{{ messages.x.y }}", "line 3"),
        ("\n{{ 1 + 'a' }}", "line 2"),
        ("{{ nothing() }}", "nothing"),
        ("{{ 'a'|nothing }}", "nothing"),
        ("{{ raise_exception('not \u{1b}[2J so') }}", r"refuses this: not \u{1b}[2J so"),
        ("{% include '/etc/passwd' %}", "/etc/passwd"),
        ("{{ 1 < messages|length < 3 }}", "in a row"),
    ];
    for (source, reason) in cases {
        let message = asked(source).unwrap_err();
        assert!(message.starts_with("chat_template.jinja: ") && message.contains(reason), "{source}: {message}");
        assert!(!message.contains('\n') && message.len() < 400, "{message}");
    }
    assert!(asked(&"(".repeat(9999)).unwrap().starts_with("(("));
    assert!(asked(&format!("{{{{ {} }}}}", "(".repeat(9999))).unwrap_err().contains("recursion limit"));
}

/// What would take all time or memory, or the stack, ends with a reason.
#[test]
fn a_template_that_means_harm_is_stopped() {
    let (size, steps) = ("makes more text than any chat has", "takes more steps");
    let cases = [
        ("{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}", steps),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "recursion limit"),
        (
            "{% for a in range(9999) %}{% for b in range(9999) %}{{ 'aaaaaaaaaaaaaaaaaaaaaaaa' * 1000 }}{% endfor %}{% endfor %}",
            size,
        ),
        ("{% set n = namespace(s='a') %}{% for a in range(60) %}{% set n.s = n.s ~ n.s %}{% endfor %}", size),
        ("{% set n = namespace(s='a') %}{% for a in range(60) %}{% set n.s = n.s + n.s %}{% endfor %}", size),
        (
            "{% set n = namespace(s='a') %}{% for a in range(60) %}{% set n.s = n.s|replace('a', 'aa') %}{% endfor %}",
            size,
        ),
        (
            "{% set n = namespace(s='a') %}{% for a in range(60) %}{% set n.s = n.s.replace('a', 'aa') %}{% endfor %}",
            size,
        ),
        (
            "{% set n = namespace(s='a') %}{% for a in range(60) %}{% set n.s %}{{ n.s }}{{ n.s }}{% endset %}{% endfor %}",
            size,
        ),
        ("{% macro d(s, n) %}{% if n %}{{ d(s ~ s, n - 1) }}{% endif %}{% endmacro %}{{ d('a', 60) }}", size),
        ("{% set n = namespace(l=[1]) %}{% for a in range(60) %}{% set n.l = n.l + n.l %}{% endfor %}", size),
        ("{% set n = namespace(l=[1]) %}{% for a in range(60) %}{% set n.l = [n.l, n.l] %}{% endfor %}", "16 deep"),
        ("{% set n = namespace(l=[1]) %}{% for a in range(60) %}{% set n.l = {'a': n.l} %}{% endfor %}", "16 deep"),
        ("{% set n = namespace() %}{% set n.n = n %}{{ n }}", "namespace as a value"),
        ("{% set n = namespace() %}{% set n.l = [n] %}", "namespace as a value"),
        (
            "{% set n = namespace() %}{% set m = namespace() %}{% set n.x = n %}{% set m.x = m %}{{ n == m }}",
            "namespace as a value",
        ),
        (
            "{% set n = namespace() %}{% set m = namespace() %}{% set n.x = n %}{% set m.x = m %}{{ n is eq m }}",
            "namespace as a value",
        ),
        ("{% for a in range(999) %}{% set n = namespace() %}{% endfor %}", size),
        ("{{ ('a' * 99999999)|length }}", size),
        ("{{ (('a' * 9999) * 9999)|length }}", size),
        ("{{ ((1, 2) * 99999999)|length }}", size),
        ("{{ range(99999)|join('aaaaaaaaaaaaaaaaaaaaaaaa' * 1000)|length }}", size),
        ("{{ ('a' * 1000).join(range(99999))|length }}", size),
        ("{{ '%999999999d'|format(1) }}", "formats to a width"),
        ("{{ '{:999999999}'.format(1) }}", "formats to a width"),
        ("{{ '{:{}}'.format(1, 999999999) }}", "formats to a width"),
        ("{{ '%*d'|format(999999999, 1) }}", "formats to a width"),
        ("{{ 'a\na'|indent(999999999) }}", "indents by more than 64"),
        ("{{ 'a\na'|indent(width=999999999) }}", "indents by more than 64"),
        ("{{ [1]|batch(999999999, 0)|length }}", "batch"),
        (
            "{% set n = namespace(l=[]) %}{% set s = 'a' * 99999 %}{% for a in range(9999) %}{% set n.l = n.l + [s[1:]] %}{% endfor %}",
            size,
        ),
    ];
    for (source, reason) in cases {
        let message = asked(source).unwrap_err();
        assert!(message.contains(reason), "{source}: {message}");
    }
    let long =
        format!("{{% set s %}}{{% for a in range(99999) %}}{}{{% endfor %}}{{% endset %}}", "long ".repeat(9999));
    assert!(asked(&long).unwrap_err().contains(steps));
}

#[test]
fn a_long_text_may_be_said() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/chat");
    let said = "many words ".repeat(20_000);
    for family in ["falcon", "gemma3", "llama2", "llama3", "mistral", "qwen3", "smollm3"] {
        let source = std::fs::read_to_string(data.join(format!("{family}.jinja"))).unwrap();
        let tokens = r#"{"bos_token": "<s>", "eos_token": "</s>"}"#;
        let template = read(&[("chat_template.jinja", &source), ("tokenizer_config.json", tokens)]).unwrap();
        let text = template.render(&Message::asked(Some("Be brief."), &said), now()).unwrap();
        assert!(text.contains(said.trim()), "{family}");
    }
}
