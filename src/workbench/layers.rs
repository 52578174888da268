//! The table's rows and the sums over them.

use std::sync::Arc;

use super::Damage;
use super::plans::{Residual, predicted_error};
use crate::compress::{ErrorCurve, Errors, Plan};
use crate::measure::Spectrum;
use crate::model::Layer;

/// The measured weight error of a layer as stored under its plan.
#[derive(Debug, Clone, PartialEq)]
pub enum Measured {
    /// Dense: nothing to measure.
    Exact,
    /// Being encoded.
    Pending,
    /// ||W - W'||_F / ||W||_F.
    Error(f64),
    /// It could not be encoded; why.
    Failed(String),
    /// A layer of a compressed folder whose original is not known.
    Unknown,
}

/// One layer with all that is known about it.
#[derive(Debug, Clone)]
pub struct LayerRow {
    /// The layer.
    pub layer: Layer,
    /// Its plan now (of a fixed layer: as it is stored).
    pub plan: Plan,
    /// Its bytes under the plan (exact: shapes decide).
    pub bytes_after: u64,
    /// Its spectrum, once decomposed.
    pub spectrum: Option<Arc<Spectrum>>,
    /// Exponent of the power law in the tail of its spectrum, once fitted.
    pub alpha: Option<f64>,
    /// Predicted weight error, where the plan truncates: from the spectrum at once where that suffices, else once encoded; 0
    /// for dense.
    pub predicted: Option<f64>,
    /// Predicted output error, where the plan truncates and input statistics are known; once encoded.
    pub predicted_output: Option<f64>,
    /// Measured weight error.
    pub measured: Measured,
    /// ||(W - W')X||_F / ||WX||_F over the calibration inputs, as stored, where input statistics are known.
    pub output_error: Option<f64>,
    /// What its decomposition predicts at other ranks, of plans that differ in nothing else.
    pub curve: Option<Arc<ErrorCurve>>,
    /// What was measured at ranks so far, of plans that differ in nothing else: (rank, weight error, output error).
    pub points: Vec<(usize, f64, Option<f64>)>,
    /// What a scan found out about it.
    pub damage: Option<Damage>,
}

impl LayerRow {
    /// A row as it is before anything was computed.
    pub(crate) fn new(layer: Layer, plan: Plan) -> Self {
        let mut row = Self {
            layer,
            plan,
            bytes_after: 0,
            spectrum: None,
            alpha: None,
            predicted: None,
            predicted_output: None,
            measured: Measured::Exact,
            output_error: None,
            curve: None,
            points: Vec::new(),
            damage: None,
        };
        row.set_plan(plan);
        row
    }

    /// Changes the plan and all that follows from it at once.
    pub(super) fn set_plan(&mut self, plan: Plan) {
        if (Plan { rank: 0, ..plan }) != (Plan { rank: 0, ..self.plan }) {
            self.curve = None;
            self.points.clear();
        }
        self.plan = plan;
        (self.output_error, self.predicted_output) = (None, None);
        self.measured = match (self.layer.fixed, plan.is_dense()) {
            (true, _) => Measured::Unknown,
            (false, true) => Measured::Exact,
            (false, false) => Measured::Pending,
        };
        self.bytes_after = if self.layer.fixed {
            self.layer.bytes
        } else {
            plan.bytes(self.layer.rows, self.layer.cols, self.layer.bytes)
        };
        self.predict();
    }

    /// Takes the spectrum in.
    pub(super) fn set_spectrum(&mut self, spectrum: Arc<Spectrum>) {
        self.spectrum = Some(spectrum);
        if self.predicted.is_none() {
            self.predict();
        }
    }

    /// Predicts from what the plan's quantized base leaves, if that is `residual`.
    pub(super) fn set_residual(&mut self, residual: &Residual) {
        if self.plan.rank > 0 && residual.fits(&self.plan) {
            self.predicted = Some(residual.error(&self.plan));
        }
    }

    /// Takes over what the decomposition predicts.
    pub(super) fn set_predicted(&mut self, errors: Errors) {
        (self.predicted, self.predicted_output) = (Some(errors.weight), errors.output);
    }

    /// Takes in the error curve of its plan.
    pub(super) fn set_curve(&mut self, curve: Option<Arc<ErrorCurve>>) {
        self.curve = curve.or(self.curve.take());
    }

    /// Notes what was measured at the rank of its plan.
    pub(super) fn note_measured(&mut self, error: f64, output: Option<f64>) {
        if self.plan.rank > 0 {
            self.points.retain(|point| point.0 != self.plan.rank);
            self.points.push((self.plan.rank, error, output));
        }
    }

    fn predict(&mut self) {
        self.predicted = if self.layer.fixed { None } else { predicted_error(&self.plan, self.spectrum.as_deref()) };
    }
}

/// Sums over the model.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Totals {
    /// Bytes of all tensors, original.
    pub bytes_original: u64,
    /// Bytes of all tensors under the plans.
    pub bytes_compressed: u64,
    /// Bits per weight over the layers alone, original and under the plans.
    pub bits_original: f64,
    /// As above.
    pub bits_compressed: f64,
    /// Layers that are not dense, but for those that the checkpoint itself has compressed.
    pub changed: usize,
    /// Layers decomposed so far.
    pub decomposed: usize,
}

impl Totals {
    /// The sums over `rows` of a model whose tensors take `bytes` as stored.
    pub(super) fn of(rows: &[LayerRow], bytes: u64) -> Self {
        let sum = |value: &dyn Fn(&LayerRow) -> u64| rows.iter().map(value).sum::<u64>();
        let (before, after) = (sum(&|row| row.layer.bytes), sum(&|row| row.bytes_after));
        let weights = sum(&|row| row.layer.parameters()).max(1) as f64;
        Self {
            bytes_original: bytes,
            bytes_compressed: bytes.saturating_sub(before) + after,
            bits_original: 8.0 * before as f64 / weights,
            bits_compressed: 8.0 * after as f64 / weights,
            changed: rows.iter().filter(|row| !row.layer.fixed && !row.plan.is_dense()).count(),
            decomposed: rows.iter().filter(|row| row.spectrum.is_some()).count(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::Dtype;
    use crate::compress::{Base, Weighting};
    use crate::model::Kind;

    fn layer(fixed: bool) -> Layer {
        let (rows, cols) = (8, 4);
        Layer {
            name: "w".into(),
            tensor: "w".into(),
            block: Some(0),
            kind: Kind::K,
            rows,
            cols,
            dtype: Dtype::F16,
            bytes: 64,
            transposed: false,
            part: None,
            fixed,
        }
    }

    #[test]
    fn a_row_follows_its_plan_and_its_spectrum() {
        let mut row = LayerRow::new(layer(false), Plan::dense());
        assert_eq!((row.bytes_after, row.predicted, &row.measured), (64, Some(0.0), &Measured::Exact));
        row.set_plan(Plan::low_rank(1));
        assert_eq!((row.bytes_after, row.predicted, &row.measured), (8 + 4 + 4 * (8 + 1), None, &Measured::Pending));
        row.set_spectrum(Arc::new(Spectrum::new(vec![4.0, 3.0, 0.0, 0.0], 8, 4)));
        assert!((row.predicted.unwrap() - 0.6).abs() < 1e-12);
        row.set_plan(Plan { base: Base::Int8, ..Plan::dense() });
        assert_eq!((row.bytes_after, row.predicted), (32 + 4 * 8, None));
    }

    #[test]
    fn a_spectrum_does_not_take_away_what_the_encoding_predicted() {
        let mut row = LayerRow::new(layer(false), Plan::dense());
        row.set_plan(Plan { weighting: Weighting::Activations, ..Plan::low_rank(1) });
        assert_eq!((row.predicted, row.predicted_output), (None, None));
        row.set_predicted(Errors { weight: 0.5, output: Some(0.25) });
        row.set_spectrum(Arc::new(Spectrum::new(vec![4.0, 3.0, 0.0, 0.0], 8, 4)));
        assert_eq!((row.predicted, row.predicted_output), (Some(0.5), Some(0.25)));
        row.set_plan(Plan::low_rank(1));
        assert_eq!(row.predicted_output, None);
    }

    #[test]
    fn totals_count_what_is_no_layer_too() {
        let rows = [LayerRow::new(layer(false), Plan::dense()), LayerRow::new(layer(false), Plan::low_rank(1))];
        let totals = Totals::of(&rows, 1000);
        assert_eq!((totals.bytes_original, totals.bytes_compressed), (1000, 1000 - 64 + 48));
        assert_eq!((totals.bits_original, totals.bits_compressed), (16.0, 14.0));
        assert_eq!((totals.changed, totals.decomposed), (1, 0));
    }

    #[test]
    fn a_fixed_row_keeps_its_bytes_and_claims_no_error() {
        let row = LayerRow::new(layer(true), Plan::low_rank(2));
        assert_eq!((row.bytes_after, row.predicted, &row.measured), (64, None, &Measured::Unknown));
    }
}
