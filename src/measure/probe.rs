//! Prompts with one right continuation each.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::checkpoint::Tokenizer;
use crate::control::Control;
use crate::model::{Model, ModelError, argmax};

/// Characters of a continuation that are told.
const WRITTEN: usize = 200;

/// A prompt and its expected continuation.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "named as in the file")]
pub struct Probe {
    pub prompt: String,
    pub expected: String,
}

/// `compare`'s JSON `probes`: how many, the shares continued as expected, and the cases that only one model gets right.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "named as the command prints it")]
pub struct ProbeReport {
    pub count: usize,
    pub original: f64,
    pub compressed: f64,
    pub changed: Vec<ChangedProbe>,
}

/// A probe that exactly one of the two models continues as expected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChangedProbe {
    /// The prompt.
    pub prompt: String,
    /// What should follow.
    pub expected: String,
    /// What the original wrote until it was decided, without leading space.
    pub original: String,
    /// What the compressed model wrote, likewise.
    pub compressed: String,
    /// The model that is right.
    pub right: RightModel,
}

/// The one of two models that continued a probe as expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RightModel {
    /// The original.
    Original,
    /// The compressed model.
    Compressed,
}

/// A model's continuation of a probe until it was decided.
#[derive(Debug)]
struct Answer {
    right: bool,
    text: String,
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

/// Shares of probes that the models continue greedily as expected (the new text, leading space ignored, starts with it),
/// and the probes that only one of them does.
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
    let answers = |model: &Model| -> Result<Vec<Answer>, ModelError> {
        probes.par_iter().map(|probe| answer(model, tokenizer, probe, control)).collect()
    };
    Ok(report(probes, &answers(original)?, &answers(compressed)?))
}

/// Both models' answers to the same probes.
fn report(probes: &[Probe], original: &[Answer], compressed: &[Answer]) -> ProbeReport {
    let pairs = probes.iter().zip(original.iter().zip(compressed));
    let changed = pairs.filter_map(|(Probe { prompt, expected }, (original, compressed))| {
        let right = match (original.right, compressed.right) {
            (true, false) => RightModel::Original,
            (false, true) => RightModel::Compressed,
            _ => return None,
        };
        let (prompt, expected) = (prompt.clone(), expected.clone());
        Some(ChangedProbe { prompt, expected, original: original.told(), compressed: compressed.told(), right })
    });
    let changed = changed.collect();
    ProbeReport { count: probes.len(), original: share(original), compressed: share(compressed), changed }
}

fn share(answers: &[Answer]) -> f64 {
    answers.iter().filter(|answer| answer.right).count() as f64 / answers.len().max(1) as f64
}

impl Answer {
    /// Its text for people: no leading space, and no more than anybody reads.
    fn told(&self) -> String {
        self.text.trim_start().chars().take(WRITTEN).collect()
    }
}

/// The model's greedy text until it is decided whether it starts as expected.
fn answer(model: &Model, tokenizer: &Tokenizer, probe: &Probe, control: &Control) -> Result<Answer, ModelError> {
    let expected = probe.expected.trim();
    let ids = tokenizer.encode(&probe.prompt)?;
    let mut cache = model.cache();
    let mut stream = tokenizer.stream();
    let (mut text, mut right) = (String::new(), None);
    let mut logits = model.forward(&ids, &mut cache, control)?;
    // A token may be silent (part of a character), so bytes bound the number of tokens, not the text alone.
    for _ in 0..expected.len() + 8 {
        let id = argmax(&logits);
        let ended = model.architecture().eos.contains(&id);
        text.push_str(&if ended { stream.finish() } else { stream.push(id) });
        right = verdict(&text, expected);
        if right.is_some() || ended || cache.len() >= model.architecture().context {
            break;
        }
        logits = model.forward(&[id], &mut cache, control)?;
    }
    control.advance(1);
    Ok(Answer { right: right == Some(true), text })
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
        assert_eq!(report, ProbeReport { count: 2, original: 0.5, compressed: 0.5, changed: Vec::new() });
        assert_eq!(control.progress(), (4, 4));
    }

    #[test]
    fn a_continuation_is_judged_as_soon_as_it_is_decided() {
        assert_eq!(verdict(" Lily", "Lily lost it."), None);
        assert_eq!(verdict(" ", "Lily"), None);
        assert_eq!(verdict(" Lily lost it. The", "Lily lost it."), Some(true));
        assert_eq!(verdict(" Rosa", "Lily"), Some(false));
    }

    #[test]
    fn cases_that_only_one_model_gets_right_are_told() {
        let probe = |prompt: &str| Probe { prompt: prompt.to_owned(), expected: " Lily".to_owned() };
        let answer = |right, text: &str| Answer { right, text: text.to_owned() };
        let (yes, long) = (|| answer(true, " Lily"), "x".repeat(WRITTEN + 1));
        let original = [yes(), yes(), answer(false, " Ro"), answer(false, " Ro")];
        let compressed = [yes(), answer(false, &long), yes(), answer(false, " Max")];
        let report = report(&["a", "b", "c", "d"].map(probe), &original, &compressed);
        assert_eq!((report.count, report.original, report.compressed), (4, 0.5, 0.5));
        let told = |case: &ChangedProbe| (case.prompt.clone(), case.right, case.original.clone());
        let told: Vec<_> = report.changed.iter().map(told).collect();
        let wanted = [("b", RightModel::Original, "Lily"), ("c", RightModel::Compressed, "Ro")];
        assert_eq!(told, wanted.map(|(prompt, right, text)| (prompt.to_owned(), right, text.to_owned())));
        assert_eq!(report.changed[0].compressed.len(), WRITTEN);
        assert_eq!(serde_json::to_value(&report.changed[1]).unwrap()["right"], "compressed");
    }
}
