//! What a report measures.

use rayon::prelude::*;

use super::{Report, ReportAbout};
use crate::checkpoint::Tokenizer;
use crate::compress::{Plan, measured_error};
use crate::control::Control;
use crate::measure::meter::failed;
use crate::measure::{
    Asked, CompareDocument, Health, Loop, MeasureError, ModelMeter, PositionStats, Spectrum, WrittenPair,
    attention_shift, compare, compare_position, find_loop, layer_errors, write_pairs,
};
use crate::model::{Layer, Model, ModelError};

/// What comparison, attention, output errors, texts, weight errors and spectra take of the whole, roughly.
const SHARES: [u64; 6] = [25, 15, 10, 25, 5, 20];

/// What comparing another policy takes beside these.
const OTHER: u64 = 25;

/// What a report is made on.
#[derive(Debug, Clone, Copy)]
pub struct ReportRequest<'a> {
    /// The original and the text.
    pub meter: ModelMeter<'a>,
    /// The compressed model.
    pub compressed: &'a Model,
    /// The plan of every layer.
    pub plans: &'a [Plan],
    /// Of both models.
    pub tokenizer: &'a Tokenizer,
    /// What both models continue.
    pub prompts: &'a [String],
    /// Most tokens written after each.
    pub max_tokens: usize,
    /// How many of the texts are drawn.
    pub drawn: usize,
    /// Other policies to compare on the same text.
    pub beside: &'a [ReportOther<'a>],
}

/// Another policy than the one that a report is about.
#[derive(Debug, Clone)]
pub struct ReportOther<'a> {
    /// Its name.
    pub name: String,
    /// As its file has it.
    pub policy: String,
    /// The model that it makes.
    pub model: &'a Model,
}

/// What came out for another policy on the same text.
#[derive(Debug, Clone, PartialEq)]
pub struct ReportBeside {
    /// Its name.
    pub name: String,
    /// As its file has it.
    pub policy: String,
    /// The comparison.
    pub metrics: CompareDocument,
}

/// A layer in a report.
#[derive(Debug, Clone, PartialEq)]
pub struct ReportLayer {
    /// The layer.
    pub layer: ReportedLayer,
    /// Its plan.
    pub plan: Plan,
    /// Bytes as stored under it.
    pub bytes: u64,
    /// ||W - W'||_F / ||W||_F of a changed layer.
    pub weight_error: Option<f64>,
    /// ||(W - W')X||_F / ||WX||_F over the text.
    pub output_error: Option<f64>,
    /// What compressing it alone does, where that was tried.
    pub damage: Option<ReportDamage>,
}

/// What a report says of a layer whatever its plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportedLayer {
    /// Its name.
    pub name: String,
    /// Its block, where it lies in one.
    pub block: Option<usize>,
    /// What it does.
    pub kind: crate::model::Kind,
    /// m, out.
    pub rows: usize,
    /// n, in.
    pub cols: usize,
    /// Bytes in the original.
    pub bytes: u64,
    /// Whether the file stores it compressed already.
    pub fixed: bool,
}

/// What compressing a layer alone does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReportDamage {
    /// KLD in nats.
    pub kld: f64,
    /// Over the KLD of noise of the same size; nothing where that does no damage.
    pub over_noise: Option<f64>,
}

impl ReportLayer {
    /// Whether the policy changes it.
    pub fn is_changed(&self) -> bool {
        !self.layer.fixed && !self.plan.is_dense()
    }

    fn new(layer: &Layer, plan: Plan) -> Self {
        let &Layer { block, kind, rows, cols, bytes, fixed, .. } = layer;
        let after = if fixed { bytes } else { plan.bytes(rows, cols, bytes) };
        let layer = ReportedLayer { name: layer.name.clone(), block, kind, rows, cols, bytes, fixed };
        Self { layer, plan, bytes: after, weight_error: None, output_error: None, damage: None }
    }
}

/// Texts of both models after one prompt, token by token.
#[derive(Debug, Clone, PartialEq)]
pub struct Writing {
    /// The prompt.
    pub prompt: String,
    /// What each token added to the original's text.
    pub original: Vec<String>,
    /// What each token added to the compressed model's text.
    pub compressed: Vec<String>,
    /// The first token at which they differ.
    pub divergence: Option<usize>,
    /// The loop that each text ends in.
    pub loops: [Option<Loop>; 2],
    /// Both models on the original's text, before each of its tokens.
    pub stats: Vec<PositionStats>,
}

/// Measures all that a report tells, but for frontier and damages of single layers, which cost far more.
///
/// # Errors
/// Model errors, a text too short to score, no prompts, cancelled.
pub fn measure_report(
    request: &ReportRequest<'_>,
    about: ReportAbout,
    control: &Control,
) -> Result<Report, MeasureError> {
    control.set_total(SHARES.iter().sum::<u64>() + OTHER * request.beside.len() as u64);
    let [compared, attended, outputs, wrote, weights, decomposed] = SHARES.map(|share| control.part(share));
    let ReportRequest { meter, compressed, tokenizer, .. } = *request;
    let pair = (meter.model, compressed);
    let comparison = compare(meter.reference(), compressed, meter.text, &compared)?;
    let attention = attention_shift(pair, meter.text, &attended)?;
    let errors = layer_errors(pair, meter.text, &outputs)?;
    let pairs = write_pairs(pair, tokenizer, request.prompts, request.max_tokens, &wrote)?;
    let writings = pairs.iter().take(request.drawn).map(|texts| writing(pair, tokenizer, texts, control));
    let writings = writings.collect::<Result<_, ModelError>>()?;
    let mut layers: Vec<ReportLayer> =
        meter.model.layers().iter().zip(request.plans).map(|(layer, plan)| ReportLayer::new(layer, *plan)).collect();
    weigh(request, &mut layers, &weights)?;
    for layer in &mut layers {
        let found = errors.iter().find(|error| error.name == layer.layer.name);
        layer.output_error = found.map(|error| error.output_error).filter(|_| layer.is_changed());
    }
    let spectra = spectra(&meter, &layers, &decomposed)?;
    let health = Health::of(&pairs, tokenizer, request.max_tokens);
    let asked = Asked { health: Some(health), attention: Some(attention), layers: Some(errors) };
    let mut beside = Vec::new();
    for other in request.beside {
        let part = control.part(OTHER);
        let comparison = compare(meter.reference(), other.model, meter.text, &part)?;
        let metrics = CompareDocument::new(comparison, (meter.model, other.model));
        beside.push(ReportBeside { name: other.name.clone(), policy: other.policy.clone(), metrics });
        part.finish();
    }
    let metrics = CompareDocument { asked, ..CompareDocument::new(comparison, pair) };
    Ok(Report { about, metrics, beside, layers, spectra, writings, frontier: Vec::new() })
}

/// Fills in the weight errors of the changed layers.
fn weigh(request: &ReportRequest<'_>, layers: &mut [ReportLayer], control: &Control) -> Result<(), MeasureError> {
    let ReportRequest { meter, compressed, .. } = request;
    control.set_total(layers.len() as u64);
    layers.par_iter_mut().zip(meter.model.layers()).enumerate().try_for_each(|(index, (row, layer))| {
        let known = compressed.weight(index).filter(|_| row.is_changed()).zip(layer.matrix(meter.checkpoint));
        row.weight_error = known.map(|(weight, matrix)| measured_error(&matrix, weight, control)).transpose()?;
        control.advance(1);
        Ok(())
    })
}

/// The spectra of the changed layers, by index.
fn spectra(
    meter: &ModelMeter<'_>,
    layers: &[ReportLayer],
    control: &Control,
) -> Result<Vec<(usize, Spectrum)>, MeasureError> {
    let all = layers.iter().zip(meter.model.layers()).enumerate();
    let changed: Vec<(usize, &Layer)> =
        all.filter(|(_, (row, _))| row.is_changed()).map(|(index, (_, layer))| (index, layer)).collect();
    control.set_total(changed.len() as u64);
    let spectrum = |(index, layer): &(usize, &Layer)| {
        let found = meter.checkpoint.tensor(&layer.tensor).zip(layer.matrix(meter.checkpoint));
        let values = found.map(|(tensor, matrix)| meter.cache.values(tensor, &matrix, control)).transpose();
        control.advance(1);
        let values = values.map_err(|source| failed(layer, source))?;
        Ok(values.map(|values| (*index, Spectrum::new(values.to_vec(), layer.rows, layer.cols))))
    };
    let found: Vec<Option<_>> = changed.par_iter().map(spectrum).collect::<Result<_, MeasureError>>()?;
    Ok(found.into_iter().flatten().collect())
}

fn writing(
    (original, compressed): (&Model, &Model),
    tokenizer: &Tokenizer,
    texts: &WrittenPair,
    control: &Control,
) -> Result<Writing, ModelError> {
    let before = |model: &Model| logits(model, &texts.ids, &texts.original, control);
    let (p, q) = (before(original)?, before(compressed)?);
    let vocabulary = original.architecture().vocabulary;
    let pairs = p.chunks_exact(vocabulary).zip(q.chunks_exact(vocabulary));
    Ok(Writing {
        prompt: texts.prompt.clone(),
        original: pieces(tokenizer, &texts.ids, &texts.original),
        compressed: pieces(tokenizer, &texts.ids, &texts.compressed),
        divergence: texts.divergence(),
        loops: [&texts.original, &texts.compressed].map(|ids| find_loop(ids)),
        stats: pairs.zip(&texts.original).map(|((p, q), next)| compare_position(p, q, Some(*next))).collect(),
    })
}

/// Logits [t, vocabulary] before each of the new ids.
fn logits(model: &Model, prompt: &[u32], new: &[u32], control: &Control) -> Result<Vec<f32>, ModelError> {
    let (Some((last, before)), Some((_, read))) = (prompt.split_last(), new.split_last()) else {
        return Ok(Vec::new());
    };
    let mut cache = model.cache();
    if !before.is_empty() {
        model.forward(before, &mut cache, control)?;
    }
    let ids: Vec<u32> = std::iter::once(last).chain(read).copied().collect();
    model.forward_all(&ids, &mut cache, None, control)
}

/// What each id adds to the text; what is held back at the end belongs to the last.
fn pieces(tokenizer: &Tokenizer, prompt: &[u32], ids: &[u32]) -> Vec<String> {
    let mut stream = tokenizer.stream_after(prompt);
    let mut pieces: Vec<String> = ids.iter().map(|id| stream.push(*id)).collect();
    if let Some(last) = pieces.last_mut() {
        last.push_str(&stream.finish());
    }
    pieces
}
