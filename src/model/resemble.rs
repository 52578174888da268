//! Which family a model of an unknown one resembles, and reading it as one.

use std::collections::BTreeSet;

use serde_json::Value;

use super::config::Config;
use super::families::FAMILIES;
use super::family::{Family, MODEL_TYPE, family_of};
use super::{Architecture, HeadNorm, Kind, Place, layers_of};
use crate::checkpoint::Checkpoint;

/// The family whose description, read from this config, asks for just the weights and biases that the first block holds; of
/// several the plainest, which is LLaMA.
pub(super) fn resembled(checkpoint: &Checkpoint, config: &Config) -> Option<&'static str> {
    let blocks = layers_of(checkpoint).iter().filter_map(|layer| layer.block).max().map_or(0, |last| last + 1);
    let fits = |family: &&&Family| {
        let first = format!("{}{}0.", family.names.prefix(checkpoint), family.names.block);
        let held = checkpoint
            .tensors()
            .iter()
            .filter(|tensor| tensor.shape.len() <= 2)
            .filter_map(|tensor| tensor.name.strip_prefix(&first));
        let held: BTreeSet<&str> =
            held.filter(|name| matches!(name.rsplit_once('.'), Some((_, "weight" | "bias")))).collect();
        let shape = (family.describe)(&config.holding_blocks(blocks)).ok();
        !held.is_empty() && shape.is_some_and(|shape| is_whole(&shape, family, &held))
    };
    let all: Vec<&str> = FAMILIES.iter().filter(fits).map(|family| family.model_type).collect();
    all.iter().find(|name| **name == "llama").or(all.first()).copied()
}

/// The model, read as one of `family` where its config.json names none that runs; the family's description judges the rest.
#[must_use]
pub fn read_as(checkpoint: Checkpoint, family: &str) -> Checkpoint {
    let Ok(config) = checkpoint.config() else { return checkpoint };
    if family_of(&Config::new(config).text()).is_ok() {
        return checkpoint;
    }
    let mut config = config.clone();
    let is_nested = config.get("text_config").and_then(|text| text.get(MODEL_TYPE)).is_some();
    let nested = config.get_mut("text_config").and_then(Value::as_object_mut).filter(|_| is_nested);
    match nested {
        Some(text) => text.insert(MODEL_TYPE.to_owned(), family.into()),
        None => config.insert(MODEL_TYPE.to_owned(), family.into()),
    };
    checkpoint.with_config(config)
}

/// Whether `held` is what the first block of such a model holds; of experts it is enough that there are some.
fn is_whole(shape: &Architecture, family: &Family, held: &BTreeSet<&str>) -> bool {
    let sparse = shape.experts.as_ref().is_some_and(|experts| experts.blocks.first() == Some(&true));
    let mut wanted = BTreeSet::new();
    for (kind, name) in family.names.linears {
        let of_experts = matches!(kind, Kind::Router | Kind::ExpertGate | Kind::ExpertUp | Kind::ExpertDown);
        let of_mlp = matches!(kind, Kind::Gate | Kind::Up | Kind::Down | Kind::GateUp);
        if (of_experts && !sparse) || (of_mlp && sparse) {
            continue;
        }
        wanted.insert(format!("{}.weight", name.replace("{}", "0")));
        if shape.biased.contains(kind) {
            wanted.insert(format!("{name}.bias"));
        }
    }
    for (place, name) in shape.norms.iter().filter(|(place, _)| !matches!(place, Place::Embedding | Place::Final)) {
        let of_heads = matches!(place, Place::Query | Place::Key);
        wanted.insert(format!("{}.weight", name.replace("{}", "0")));
        if shape.norm.has_bias() && !(of_heads && shape.head_norm == HeadNorm::EachHead) {
            wanted.insert(format!("{name}.bias"));
        }
    }
    let of_expert = |name: &str| {
        let kind = name.strip_suffix(".weight").and_then(|local| family.names.kind_of(local));
        sparse && matches!(kind, Some(Kind::ExpertGate | Kind::ExpertUp | Kind::ExpertDown))
    };
    wanted.iter().all(|name| held.contains(name.as_str()))
        && held.iter().all(|name| wanted.contains(*name) || of_expert(name))
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;

    #[test]
    fn golden_models_resemble_themselves_or_llama() {
        let resembled_by = |name: &str| {
            let path = format!("tests/data/golden/{name}");
            let checkpoint = Checkpoint::open(path.as_ref()).unwrap();
            let map: Map<String, Value> = checkpoint.config().unwrap().clone();
            resembled(&checkpoint, &Config::new(&map)).unwrap_or("nothing")
        };
        for name in ["llama", "mistral", "granite", "smollm3"] {
            assert_eq!(resembled_by(name), "llama");
        }
        for name in ["qwen2", "olmo2", "gemma2", "gemma3_text", "phi", "phi3", "gptj", "gpt_neox", "bloom", "opt"] {
            assert_eq!(resembled_by(name), name);
        }
        assert_eq!(resembled_by("mixtral"), "mixtral");
        assert_eq!(resembled_by("qwen3_moe"), "qwen3_moe");
    }

    #[test]
    fn blocks_that_are_not_there_take_no_memory() {
        let checkpoint = Checkpoint::open("tests/data/golden/bloom".as_ref()).unwrap();
        let mut map: Map<String, Value> = checkpoint.config().unwrap().clone();
        map.insert("n_layer".to_owned(), (1_u64 << 42).into());
        assert_eq!(resembled(&checkpoint, &Config::new(&map)), None);
    }
}
