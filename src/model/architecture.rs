//! What a family's description and a config make: everything that the decoder needs to know.

use super::activation::Activation;
use super::alibi::Alibi;
use super::rope::RopeSpec;
use super::{Fusion, Kind};

/// Where a norm stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// On the embeddings, before the first block.
    Embedding,
    /// On what attention reads.
    AttentionInput,
    /// On the queries, before they are turned to their positions.
    Query,
    /// On the keys, before they are turned to their positions.
    Key,
    /// On what attention gives, before it is added to the stream.
    AttentionOutput,
    /// On the stream, after attention has been added.
    AfterAttention,
    /// On what the MLP reads. Missing beside a parallel residual: it reads what attention reads.
    MlpInput,
    /// On what the MLP gives, before it is added to the stream.
    MlpOutput,
    /// On the stream, after the MLP has been added.
    AfterMlp,
    /// After the last block.
    Final,
}

/// A family's norms: where they stand and how they are called, relative to their block, or to the model for those outside the
/// blocks. `{}` stands for the number of a head.
pub type Norms = Vec<(Place, &'static str)>;

/// How positions enter.
#[derive(Debug, Clone)]
pub enum Positions {
    /// A learned embedding per position, added to the token's; the first `skipped` rows are unused.
    Learned {
        /// Rows before that of position 0.
        skipped: usize,
    },
    /// Rotary embedding of queries and keys; each block says which of these it has.
    Rotary(Vec<RopeSpec>),
    /// A number per head and key position added to the logits of attention.
    Alibi(Alibi),
}

/// A normalisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NormKind {
    /// Mean and variance, with weight and bias.
    Layer,
    /// Mean and variance, with nothing of its own.
    LayerPlain,
    /// Root mean square, with weight.
    Rms,
    /// Root mean square, with a weight that is counted from 1.
    RmsOffset,
}

impl NormKind {
    /// Whether it has a bias.
    pub(super) fn has_bias(self) -> bool {
        self == Self::Layer
    }
}

/// What a norm of queries or keys is taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadNorm {
    /// Each head, all with the same weight.
    Head,
    /// Each head with a weight of its own, and no bias.
    EachHead,
    /// All heads together.
    Whole,
}

/// How attention and MLP are added to the stream x.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Residual {
    /// x += attention(norm(x)); x += mlp(norm(x)).
    Sequential,
    /// x += attention(norm(x)) + mlp(norm(x)), both of the same x.
    Parallel,
    /// y = norm(x), x = y + attention(y); y = norm(x), x = y + mlp(y).
    Normed,
}

/// What one block's attention looks at, and how sharply.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Attention {
    /// A query at i sees keys i - window + 1 ..= i; `None`: all before it.
    pub window: Option<usize>,
    /// Factor on q . k before the softmax.
    pub scale: f32,
    /// Cap c of the logits, c tanh(logit / c).
    pub cap: Option<f32>,
    /// Which rotary embedding turns its queries and keys; `None`: none.
    pub rope: Option<usize>,
}

/// Factors outside the blocks, and on what blocks add.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scales {
    /// On the token embeddings.
    pub embedding: f32,
    /// On what attention and MLP add to the stream.
    pub residual: f32,
    /// What the logits are divided by.
    pub logits: f32,
    /// Cap c of the logits, c tanh(logit / c).
    pub cap: Option<f32>,
}

impl Default for Scales {
    fn default() -> Self {
        Self { embedding: 1.0, residual: 1.0, logits: 1.0, cap: None }
    }
}

/// A mixture of experts in place of one MLP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Experts {
    /// How many there are.
    pub count: usize,
    /// How many work on a token.
    pub chosen: usize,
    /// Width of one.
    pub width: usize,
    /// Whether the weights of those chosen are made to sum to 1.
    pub normalised: bool,
    /// Which blocks have them.
    pub blocks: Vec<bool>,
}

/// What a family's description and a config make: everything that the decoder needs to know.
#[derive(Debug, Clone)]
pub struct Architecture {
    /// `model_type`.
    pub family: &'static str,
    /// Vocabulary size (rows of the embedding).
    pub vocabulary: usize,
    /// Width of the residual stream.
    pub hidden: usize,
    /// Width of the embedding and of what the head reads; where it is not `hidden`, maps lead from one to the other.
    pub embedding: usize,
    /// Number of blocks.
    pub blocks: usize,
    /// Context in tokens.
    pub context: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads (fewer than `heads`: grouped-query attention).
    pub kv_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Width of the MLP.
    pub intermediate: usize,
    /// Per block.
    pub attention: Vec<Attention>,
    /// How positions enter.
    pub positions: Positions,
    /// Kind of all norms.
    pub norm: NormKind,
    /// Epsilon of the norms.
    pub epsilon: f32,
    /// Where norms stand.
    pub norms: Norms,
    /// What norms of queries and keys are taken over, where there are such.
    pub head_norm: HeadNorm,
    /// How attention and MLP are added.
    pub residual: Residual,
    /// Factors.
    pub scales: Scales,
    /// The MLP's nonlinearity; on the gate where there is one.
    pub activation: Activation,
    /// Experts, where blocks have them.
    pub experts: Option<Experts>,
    /// How q, k and v lie in one projection, where they share one.
    pub fused: Fusion,
    /// Kinds of linear maps that have a bias.
    pub biased: Vec<Kind>,
    /// Whether the head is the embedding: as config.json says, or `None` where it does not say.
    pub tied: Option<bool>,
    /// End-of-text ids (`config.json` and `generation_config.json`).
    pub eos: Vec<u32>,
}

impl Architecture {
    /// Rows of the position embedding before that of position 0.
    pub(super) fn skipped_positions(&self) -> usize {
        match self.positions {
            Positions::Learned { skipped } => skipped,
            _ => 0,
        }
    }
}
