//! `generate`: text, as it is written.

use std::io::IsTerminal;
use std::time::Instant;

use serde::Serialize;

use super::args::GenerateArgs;
use super::failure::{say, warn};
use super::output::{self, fast_line};
use super::session::Session;
use crate::checkpoint::TextStream;
use crate::control::Control;
use crate::measure::{CompareOptions, FastCost, Repetition, fast_cost, repetition, writing_need};
use crate::model::{Generation, Model, Stop, non_finite};

#[derive(Debug, Serialize)]
struct Document {
    prompt_ids: Vec<u32>,
    ids: Vec<u32>,
    /// Null without a tokenizer.
    text: Option<String>,
    stop: &'static str,
    /// Decoding alone, without the prompt; null before the second token.
    tokens_per_s: Option<f64>,
    repetition: Repetition,
    /// Fast arithmetic against exact over prompt and text, where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    fast: Option<FastCost>,
}

/// What was written.
#[derive(Debug, Default)]
struct Written {
    ids: Vec<u32>,
    text: String,
    stop: Option<Stop>,
    tokens_per_s: Option<f64>,
}

/// Runs the command.
///
/// # Errors
/// What is wrong with model, policy or prompt.
pub fn run(args: &GenerateArgs, session: &Session) -> anyhow::Result<()> {
    let opened = session.open_for(&args.model.model, &args.policy)?;
    let model = Model::load(&opened.checkpoint)?;
    let (prompt_ids, tokenizer) = opened.prompt(&model, &args.prompt, &args.chat)?;
    let need = writing_need(&model, prompt_ids.len().saturating_add(args.max_tokens));
    let model = session.under(&args.policy, model, &opened, ("writing", need))?;
    let model = model.with_arithmetic(args.fast.arithmetic());
    non_finite(&opened.checkpoint).iter().for_each(warn);
    let control = session.interrupt.control();
    let stream = tokenizer.as_ref().map(|tokenizer| tokenizer.stream_after(&prompt_ids));
    let mut sink = Sink::new(session.common.json, stream);
    let written = write(&model, &prompt_ids, args, &mut sink, &control)?;
    let repetition = repetition(&written.ids);
    let fast = args.fast.fast.then(|| cost(&model, &prompt_ids, &written.ids, &control)).transpose()?;
    if !session.common.json {
        summary(&written, &repetition, fast.as_ref());
        return Ok(());
    }
    output::json(&Document {
        prompt_ids,
        text: tokenizer.is_some().then_some(written.text),
        stop: written.stop.unwrap_or(Stop::Length).name(),
        tokens_per_s: written.tokens_per_s,
        repetition,
        fast,
        ids: written.ids,
    })
}

/// What fast arithmetic costs on prompt and text.
fn cost(model: &Model, prompt: &[u32], written: &[u32], control: &Control) -> anyhow::Result<FastCost> {
    let ids = [prompt, written].concat();
    let limit = Some(model.architecture().context);
    Ok(fast_cost(model, &CompareOptions { ids, bos: None, limit }, control)?)
}

fn write(
    model: &Model,
    prompt: &[u32],
    args: &GenerateArgs,
    sink: &mut Sink,
    control: &Control,
) -> anyhow::Result<Written> {
    let mut generation = Generation::start(model, prompt, args.sampling.sampling(), args.max_tokens, control)?;
    if args.prompt.ids.is_some() {
        generation = generation.endless();
    }
    let mut written = Written::default();
    let start = Instant::now();
    while let Some(id) = generation.next(model, control)? {
        written.ids.push(id);
        sink.token(id, &mut written.text)?;
        // The first token costs no step of its own: its logits come with the prompt.
        let steps = written.ids.len() - 1;
        written.tokens_per_s = (steps > 0).then(|| steps as f64 / start.elapsed().as_secs_f64().max(1e-9));
    }
    sink.end(&mut written.text)?;
    written.stop = generation.stop();
    Ok(written)
}

/// Where text goes while it is written.
#[derive(Debug)]
struct Sink {
    /// One document at the end: nothing is streamed.
    quiet: bool,
    stream: Option<TextStream>,
    /// A terminal gets no control characters from a model.
    terminal: bool,
}

impl Sink {
    fn new(quiet: bool, stream: Option<TextStream>) -> Self {
        Self { quiet, stream, terminal: std::io::stdout().is_terminal() }
    }

    fn token(&mut self, id: u32, text: &mut String) -> anyhow::Result<()> {
        match &mut self.stream {
            Some(stream) => {
                let piece = stream.push(id);
                text.push_str(&piece);
                self.show(&piece)
            }
            None => self.show(&format!("{id} ")),
        }
    }

    fn end(&mut self, text: &mut String) -> anyhow::Result<()> {
        let rest = self.stream.as_mut().map(TextStream::finish).unwrap_or_default();
        text.push_str(&rest);
        self.show(&(rest + "\n"))
    }

    fn show(&self, piece: &str) -> anyhow::Result<()> {
        match (self.quiet, self.terminal) {
            (true, _) => Ok(()),
            (false, true) => output::print(&printable(piece)),
            (false, false) => output::print(piece),
        }
    }
}

/// Control characters escaped, but for line ends and tabs.
fn printable(text: &str) -> String {
    let shown = |c: char| match c {
        '\n' | '\t' => c.to_string(),
        c if c.is_control() => c.escape_default().to_string(),
        c => c.to_string(),
    };
    text.chars().map(shown).collect()
}

/// One line for the person at the terminal, and a warning where the text runs in circles.
fn summary(written: &Written, repetition: &Repetition, fast: Option<&FastCost>) {
    if let (Some(period), Some(repeats)) = (repetition.period, repetition.repeats) {
        let last = if period == 1 { "token comes".to_owned() } else { format!("{period} tokens come") };
        warn(format!("the text loops: its last {last} {repeats} times in a row"));
    }
    if let Some(cost) = fast {
        say(fast_line(cost));
    }
    if std::io::stderr().is_terminal() {
        let stop = written.stop.unwrap_or(Stop::Length).name();
        let speed = written.tokens_per_s.map(|speed| format!(", {speed:.1} tokens/s")).unwrap_or_default();
        say(format!("[{} tokens, stop: {stop}{speed}]", written.ids.len()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_cannot_send_escape_codes_to_the_terminal() {
        assert_eq!(printable("a\u{1b}[2J\n\tb"), "a\\u{1b}[2J\n\tb");
    }
}
