//! The scales that tensors of eight-bit floats have beside them.

use serde_json::{Map, Value};

use super::{Dtype, Tensor};

/// What the numbers of a tensor are multiplied by.
#[derive(Debug, Clone)]
pub struct Scale {
    /// One scale, one a row, or a grid of one a block; `NAME_scale_inv` or `NAME_scale` of the tensor `NAME`.
    pub tensor: Tensor,
    /// [height, width] of a block as config.json has it (`quantization_config.weight_block_size`).
    pub block: Option<[usize; 2]>,
}

/// Whether numbers of that type mean little without a scale.
pub(super) fn is_scaled(dtype: Dtype) -> bool {
    matches!(dtype, Dtype::F8_E4M3 | Dtype::F8_E5M2)
}

/// Gives each tensor of eight-bit floats its scales. `tensors` are sorted by name.
pub(super) fn attach(tensors: &mut [Tensor], config: Option<&Map<String, Value>>) {
    let block = config.and_then(block_of);
    for at in 0..tensors.len() {
        let Some(name) = tensors.get(at).filter(|tensor| is_scaled(tensor.dtype)).map(|tensor| tensor.name.clone())
        else {
            continue;
        };
        let named = |ending: &str| {
            let wanted = format!("{name}{ending}");
            let found = tensors.binary_search_by(|tensor| tensor.name.as_str().cmp(&wanted)).ok()?;
            tensors.get(found).cloned()
        };
        let scale = named("_scale_inv").or_else(|| named("_scale")).map(|tensor| Scale { tensor, block });
        if let Some((tensor, scale)) = tensors.get_mut(at).zip(scale) {
            tensor.scale_by(scale);
        }
    }
}

/// The size of blocks that a config tells.
fn block_of(config: &Map<String, Value>) -> Option<[usize; 2]> {
    let sizes = config.get("quantization_config")?.get("weight_block_size")?.as_array()?;
    let side = |value: &Value| value.as_u64().and_then(|side| usize::try_from(side).ok()).filter(|side| *side > 0);
    match sizes.as_slice() {
        [height, width] => Some([side(height)?, side(width)?]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::Bytes;

    fn tensor(name: &str, dtype: Dtype, bytes: &[u8]) -> Tensor {
        let shape = vec![bytes.len() * 8 / dtype.bitsize()];
        Tensor::new(name.into(), dtype, shape, Bytes::copied(bytes))
    }

    #[test]
    fn scales_are_found_by_name_and_count_in_bytes_and_digest() {
        let all = |scale: [u8; 4]| {
            let mut tensors = [
                tensor("a.weight", Dtype::F8_E4M3, &[1, 2]),
                tensor("a.weight_scale", Dtype::F32, &[0; 4]),
                tensor("a.weight_scale_inv", Dtype::F32, &scale),
                tensor("b.weight", Dtype::F8_E5M2, &[1, 2]),
                tensor("c.weight", Dtype::BF16, &[1, 2]),
                tensor("c.weight_scale", Dtype::F32, &[0; 4]),
            ];
            let config = serde_json::json!({"quantization_config": {"weight_block_size": [64, 32]}});
            attach(&mut tensors, config.as_object());
            tensors
        };
        let [a, _, _, b, c, _] = all([1; 4]);
        let scale = a.scale().unwrap();
        assert_eq!((scale.tensor.name.as_str(), scale.block), ("a.weight_scale_inv", Some([64, 32])));
        assert!(b.scale().is_none() && c.scale().is_none());
        assert_eq!([a.stored_bytes(), b.stored_bytes(), c.stored_bytes()], [6, 2, 2]);
        let [other, ..] = all([2; 4]);
        assert_ne!(a.digest(), other.digest());
    }
}
