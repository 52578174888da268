//! Every figure that the screen shows: its name in queries, its value for a layer, and what it means.

use super::column;
use super::format;
use crate::measure::Notation;
use crate::workbench::LayerRow;

/// All that the screen knows about a figure.
#[derive(Debug, Clone, Copy)]
pub struct About {
    /// The figure.
    pub figure: Figure,
    /// Its name in queries, where a layer has it; empty: it is none of a layer.
    pub query: &'static str,
    /// Its name on the screen.
    pub title: &'static str,
    /// How it is computed.
    pub formula: &'static str,
    /// What it means, in two sentences.
    pub meaning: &'static str,
}

macro_rules! figures {
    ($($figure:ident, $query:literal, $title:literal, $formula:literal, $meaning:literal;)+) => {
        /// A figure of a layer, a text or the whole model.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Figure {
            $(#[doc = $meaning] $figure,)+
        }

        /// Every figure, in the order in which they are explained.
        pub const FIGURES: &[About] = &[
            $(About { figure: Figure::$figure, query: $query, title: $title, formula: $formula, meaning: $meaning },)+
        ];
    };
}

figures! {
    Block, "block", "block", "counted from 0", "The decoder block that the layer belongs to. Layers outside of the blocks, such as the output projection, have none.";
    Kind, "kind", "kind", "q k v o, gate up down, …", "What the layer does: queries, keys, values and output of attention, or a projection of the MLP. A fused projection shows as its parts.";
    Shape, "parameters", "shape", "[out, in] = [m, n], y = W x", "Outputs times inputs of the linear map. It sorts and filters by the number of parameters, m n.";
    Name, "", "tensor", "as the checkpoint has it", "The tensor's name; part of a fused projection is named after it with #. Policies match names by globs.";
    Type, "", "type", "as the checkpoint has it", "The number format in which the tensor is stored. Nothing is rounded to compute with it: weights are widened in registers.";
    Plan, "", "plan", "W ~ base + U Vh", "How the layer is stored and run: a base (dense, int8, int4; /64: in groups of 64) and a low-rank part (r12: of rank 12), act: weighted by what it reads, refit: U fitted anew, nc: norm corrected. Dense is the checkpoint as it is.";
    Rank, "rank", "rank", "columns of U, rows of Vh", "The rank of the low-rank part. It takes r (m + n) numbers instead of m n.";
    RankShare, "share", "rank share", "r / min(m, n)", "The rank over the largest that the shape allows. Above m n / (m + n) the factors take as many numbers as the layer itself.";
    Before, "before", "bytes before", "as stored", "The bytes that the tensor takes in the checkpoint. Scales of eight-bit floats are counted with it.";
    After, "after", "bytes after", "exact, scales included", "The bytes that the layer takes under its plan, as an export writes it. The shape alone decides, so it is known at once.";
    Saved, "saved", "bytes saved", "before - after", "What the plan saves against the checkpoint. It is negative where the plan is larger than the layer as it is.";
    Predicted, "pred", "predicted error", "sqrt(sum_{i>r} s_i^2 / sum s_i^2)", "The weight error that cutting at this rank leaves, from the singular values alone. Rounding of the factors comes on top and is in the measured error.";
    Error, "error", "weight error", "||W - W'||_F / ||W||_F", "How far the layer as stored is from the original, measured. Half of it may be harmless in one layer and ruin another: look at the output error and the KLD.";
    Output, "output", "output error", "||(W - W') X||_F / ||W X||_F", "How far the layer's output is off over the calibration inputs X. Directions that inputs never take cost nothing here.";
    Kld, "kld", "KLD alone", "KL(original || changed), nats per token", "What changing this layer alone does to the next-token distribution over the evaluation text, or what is left when it alone is restored. It is a mean over the scored tokens.";
    OverNoise, "noise", "KLD over noise", "KLD / KLD of noise of equal output error", "The damage over that of Gaussian noise with the same output error. Far above 1 the error lies in directions that matter; above 10 the layer is marked as a pillar (!).";
    StableRank, "stable", "stable rank", "sum s^2 / s_1^2", "How many directions as strong as the strongest the matrix would have. It is small where a few directions rule.";
    EffectiveRank, "effective", "effective rank", "exp(-sum p ln p), p_i = s_i^2 / sum s^2", "The number of equally strong directions with the same entropy. Near min(m, n) no rank is small and cheap.";
    Energy90, "energy", "energy rank 90%", "least r with sum_{i<=r} s_i^2 >= 0.9 sum s^2", "The least rank that keeps nine tenths of the squared singular values. The weight error there is sqrt(0.1), 31.6%.";
    NoiseRank, "beyond", "values beyond the edge", "s_i > (sqrt m + sqrt n) ||W||_F / sqrt(m n)", "Singular values above the largest that a random matrix of this size and norm would have (Marchenko and Pastur's edge). Those are certainly structure; below it structure and noise are mixed.";
    Alpha, "alpha", "power law alpha", "density of s^2 ~ (s^2)^-alpha in the tail", "The exponent of a power law fitted to the largest squared singular values, as weightwatcher has it. Between 2 and 4 the layer is well trained by that school; above 6 hardly.";
    Cosine, "", "cosine", "<a, b> / (|a| |b|) of the logits", "The angle between the logits of both models at a token, then the mean. It stays near 1 long after the text has gone wrong: 0.999 proves nothing.";
    Mse, "", "MSE", "mean (a_i - b_i)^2 of the logits", "The mean squared difference of the logits. A shift of all logits counts here and changes no probability.";
    TextKld, "", "KLD", "sum p ln(p / q), nats per token", "How much the compressed model's next-token distribution q differs from the original's p, on the original's text. 0 is the same model; 0.01 is hard to notice, 0.1 is another text.";
    Top1, "", "top-1", "share of argmax p = argmax q", "How often both models like the same token best. Greedy texts part at the first time they do not.";
    BestRank, "", "rank of the best", "place of the original's best token in q", "Where the compressed model puts the token that the original likes best: 1 is agreement. The row under the strip shows it token by token.";
    Loop, "", "loop", "an n-gram of period p <= 64, 4 times or more, 24 tokens or more", "The text has begun to repeat itself. A model that loops where its original does not is broken, whatever the averages say.";
    BitsPerWeight, "", "bits a weight (bpw)", "8 x bytes of layers / their parameters", "The size of the layers alone, scales included. Embeddings and norms are not in it; the bytes of the whole model are beside it.";
    Perplexity, "", "perplexity", "exp(mean -ln p(token))", "How surprised the model is by the text. Compare the ratio with its error, not the numbers: a ratio within its error of 1 is no difference.";
    Drift, "", "drift", "cosine and norm ratio of the hidden state after a block", "How far the state of the compressed model is from the original's, block by block. A norm that doubles or halves names the block where something breaks.";
    AttentionScale, "", "attention scale", "spread of the attention logits, compressed / original", "Whether attention has become sharper (above 1) or flatter. Norm correction of keys in a model that does not scale attention shows here first.";
}

impl Figure {
    /// All that is known about it.
    pub fn about(self) -> Option<&'static About> {
        FIGURES.iter().find(|about| about.figure == self)
    }

    /// Its name on the screen.
    pub fn title(self) -> &'static str {
        self.about().map_or("", |about| about.title)
    }

    /// The figure of a name in queries.
    pub fn named(name: &str) -> Option<Self> {
        FIGURES.iter().find(|about| !about.query.is_empty() && about.query == name).map(|about| about.figure)
    }

    /// Its value for a layer, where it is known. Shares and errors are fractions of 1; sizes are bytes.
    pub fn value(self, row: &LayerRow) -> Option<f64> {
        let spectrum = row.spectrum.as_deref();
        match self {
            Self::Block => row.layer.block.map(|block| block as f64),
            Self::Shape => Some(row.layer.parameters() as f64),
            Self::Rank => Some(row.plan.rank as f64),
            Self::RankShare => Some(row.plan.rank as f64 / row.layer.max_rank().max(1) as f64),
            Self::Before => Some(row.layer.bytes as f64),
            Self::After => Some(row.bytes_after as f64),
            Self::Saved => Some(row.layer.bytes as f64 - row.bytes_after as f64),
            Self::Predicted => row.predicted,
            Self::Error => column::error(row),
            Self::Output if row.plan.is_dense() && !row.layer.fixed => Some(0.0),
            Self::Output => row.output_error,
            Self::Kld => row.damage.map(|damage| damage.kld),
            Self::OverNoise => row.damage.and_then(|damage| damage.over_noise),
            Self::StableRank => spectrum.map(|known| known.stable_rank),
            Self::EffectiveRank => spectrum.map(|known| known.effective_rank),
            Self::Energy90 => spectrum.map(|known| known.energy_ranks[1] as f64),
            Self::NoiseRank => spectrum.map(|known| known.noise_edge_rank as f64),
            Self::Alpha => row.alpha,
            _ => None,
        }
    }

    /// How values of it are written that stand below one another.
    pub fn notation(self, values: impl Iterator<Item = f64>) -> Notation {
        match self {
            Self::RankShare | Self::Predicted | Self::Error | Self::Output => Notation::of_shares(values),
            Self::Kld => Notation::of(values),
            _ => Notation::default(),
        }
    }

    /// A value as the screen shows it.
    pub fn shown(self, value: f64) -> String {
        match self {
            Self::Saved if value < 0.0 => format!("-{}", format::bytes(-value as u64)),
            Self::Before | Self::After | Self::Saved => format::bytes(value as u64),
            Self::Predicted | Self::Error | Self::Output | Self::RankShare => format::percent(value),
            Self::Block | Self::Rank | Self::Energy90 | Self::NoiseRank => format!("{value:.0}"),
            Self::Shape => format::count(value as u64),
            Self::StableRank | Self::EffectiveRank => format!("{value:.1}"),
            Self::OverNoise => format!("{value:.1}x"),
            Self::Alpha => format!("{value:.2}"),
            _ => format::figure(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_figure_is_explained_in_two_sentences_and_named_once() {
        for about in FIGURES {
            let sentences = about.meaning.split(". ").count();
            assert!(sentences == 2 && about.meaning.ends_with('.'), "{}: {sentences} sentences", about.title);
            assert!(!about.formula.is_empty() && !about.title.is_empty());
        }
        let named: Vec<_> = FIGURES.iter().map(|about| about.query).filter(|name| !name.is_empty()).collect();
        assert_eq!(named.iter().collect::<HashSet<_>>().len(), named.len());
        assert_eq!(Figure::named("error"), Some(Figure::Error));
    }
}
