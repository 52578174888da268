//! Prompts with one right continuation each.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::checkpoint::Tokenizer;
use crate::control::Control;
use crate::model::{Model, ModelError, argmax};

/// A prompt and its expected continuation.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "named as in the file")]
pub struct Probe {
    pub prompt: String,
    pub expected: String,
}

/// `compare`'s JSON `probes`: how many, and the shares continued as expected.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "named as the command prints it")]
pub struct ProbeReport {
    pub count: usize,
    pub original: f64,
    pub compressed: f64,
}

/// Parses a JSON Lines file of probes (blank lines are skipped); errors name the line.
///
/// # Errors
/// `line N: ...`; a file without any probe.
pub fn parse_probes(text: &str) -> Result<Vec<Probe>, String> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let probes = lines.map(|(index, line)| parse_probe(line).map_err(|reason| format!("line {}: {reason}", index + 1)));
    let probes: Vec<Probe> = probes.collect::<Result<_, _>>()?;
    if probes.is_empty() {
        return Err("no probes; each line is {\"prompt\": TEXT, \"expected\": TEXT}".to_owned());
    }
    Ok(probes)
}

fn parse_probe(line: &str) -> Result<Probe, String> {
    let probe: Probe = serde_json::from_str(line)
        .map_err(|error| format!("{error}; each line is {{\"prompt\": TEXT, \"expected\": TEXT}}"))?;
    if probe.expected.trim().is_empty() {
        return Err("\"expected\" is empty; give the text that should follow".to_owned());
    }
    Ok(probe)
}

/// Share of probes that both models continue greedily as expected: the new text, leading space ignored, starts with it.
///
/// # Errors
/// Model errors, such as a prompt longer than the context.
pub fn probe(
    original: &Model,
    compressed: &Model,
    tokenizer: &Tokenizer,
    probes: &[Probe],
    control: &Control,
) -> Result<ProbeReport, ModelError> {
    control.set_total(2 * probes.len() as u64);
    let share = |model: &Model| -> Result<f64, ModelError> {
        let answers = probes.par_iter().map(|probe| answers(model, tokenizer, probe, control));
        let right = answers.collect::<Result<Vec<bool>, _>>()?.into_iter().filter(|right| *right).count();
        Ok(right as f64 / probes.len().max(1) as f64)
    };
    Ok(ProbeReport { count: probes.len(), original: share(original)?, compressed: share(compressed)? })
}

/// Whether the model's greedy text starts as expected; stops as soon as that is decided.
fn answers(model: &Model, tokenizer: &Tokenizer, probe: &Probe, control: &Control) -> Result<bool, ModelError> {
    let expected = probe.expected.trim();
    let ids = tokenizer.encode(&probe.prompt)?;
    let mut cache = model.cache();
    let mut stream = tokenizer.stream();
    let mut text = String::new();
    let mut logits = model.forward(&ids, &mut cache, control)?;
    // A token may be silent (part of a character), so bytes bound the number of tokens, not the text alone.
    for _ in 0..expected.len() + 8 {
        let id = argmax(&logits);
        let ended = model.architecture().eos.contains(&id);
        text.push_str(&if ended { stream.finish() } else { stream.push(id) });
        match verdict(&text, expected) {
            Some(right) => {
                control.advance(1);
                return Ok(right);
            }
            None if ended || cache.len() >= model.architecture().context => break,
            None => logits = model.forward(&[id], &mut cache, control)?,
        }
    }
    control.advance(1);
    Ok(false)
}

/// Whether `text` starts as expected; `None` while it may still come to that.
fn verdict(text: &str, expected: &str) -> Option<bool> {
    let text = text.trim_start();
    if text.starts_with(expected) {
        return Some(true);
    }
    (!expected.starts_with(text)).then_some(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::Checkpoint;
    use std::path::Path;

    #[test]
    fn probes_are_read_line_by_line() {
        let text =
            "{\"prompt\": \"a\", \"expected\": \" b\"}\n\n{\"prompt\": \"c\", \"expected\": \"d\", \"note\": 1}\n";
        let probes = parse_probes(text).unwrap();
        assert_eq!(probes.len(), 2);
        assert_eq!((probes[1].prompt.as_str(), probes[1].expected.as_str()), ("c", "d"));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let error = parse_probes("{\"prompt\": \"a\", \"expected\": \"b\"}\n{\"prompt\": \"a\"}\n").unwrap_err();
        assert!(error.starts_with("line 2: ") && error.contains("expected"), "{error}");
        assert!(parse_probes("{\"prompt\": \"a\", \"expected\": \" \"}").unwrap_err().contains("empty"));
        assert!(parse_probes("\n").unwrap_err().contains("no probes"));
    }

    #[test]
    fn a_model_continues_as_it_does_and_not_otherwise() {
        let checkpoint = Checkpoint::open(Path::new("tests/data/bad_files/ok_base")).unwrap();
        let (model, tokenizer) = (Model::load(&checkpoint).unwrap(), checkpoint.tokenizer().unwrap());
        let (control, prompt) = (Control::new(), "a".to_owned());
        let mut cache = model.cache();
        let (mut fresh, mut own) = (tokenizer.encode(&prompt).unwrap(), Vec::new());
        while tokenizer.decode(&own).trim().is_empty() && own.len() < 8 {
            let id = argmax(&model.forward(&fresh, &mut cache, &control).unwrap());
            (fresh, own) = (vec![id], [own, vec![id]].concat());
        }
        let right = Probe { prompt: prompt.clone(), expected: tokenizer.decode(&own) };
        let wrong = Probe { prompt, expected: "neither this nor that".to_owned() };
        let report = probe(&model, &model, &tokenizer, &[right, wrong], &control).unwrap();
        assert_eq!(report, ProbeReport { count: 2, original: 0.5, compressed: 0.5 });
        assert_eq!(control.progress(), (4, 4));
    }

    #[test]
    fn a_continuation_is_judged_as_soon_as_it_is_decided() {
        assert_eq!(verdict(" Lily", "Lily lost it."), None);
        assert_eq!(verdict(" ", "Lily"), None);
        assert_eq!(verdict(" Lily lost it. The", "Lily lost it."), Some(true));
        assert_eq!(verdict(" Rosa", "Lily"), Some(false));
    }
}
