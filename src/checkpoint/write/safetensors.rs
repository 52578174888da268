//! The safetensors format, written with sorted keys: the `safetensors` crate takes metadata from a hash map, so its bytes
//! differ from run to run.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::ops::Range;

use serde::Serialize;

use super::WriteError;
use crate::checkpoint::header::{METADATA, byte_count};
use crate::checkpoint::{Dtype, escaped};

/// The format's own limit on the header's length.
const MAX_HEADER: usize = 100_000_000;

/// Header entry of a tensor that will be written; data follows later, in the same order.
#[derive(Debug, Clone)]
pub struct TensorSpec {
    /// Name.
    pub name: String,
    /// Type.
    pub dtype: Dtype,
    /// Dimensions.
    pub shape: Vec<usize>,
}

impl TensorSpec {
    /// Bytes of the data.
    pub(super) fn bytes(&self) -> Result<usize, WriteError> {
        byte_count(&self.shape, self.dtype).map_err(|reason| invalid(&self.name, &reason))
    }
}

fn invalid(tensor: &str, reason: &str) -> WriteError {
    WriteError::Invalid(format!("tensor {} cannot be written: {reason}", escaped(tensor, 200)))
}

/// Refuses data of another length than the tensor's description asks for.
pub(super) fn check_length(spec: &TensorSpec, data: &[u8]) -> Result<(), WriteError> {
    let need = spec.bytes()?;
    if need == data.len() {
        return Ok(());
    }
    Err(invalid(&spec.name, &format!("{} bytes were given where its shape and type need {need}", data.len())))
}

/// Sorts by name and refuses what no reader could tell apart: names that come twice, and the metadata's own.
pub(super) fn sort(specs: &mut [TensorSpec]) -> Result<(), WriteError> {
    specs.sort_by(|a, b| a.name.cmp(&b.name));
    if specs.is_empty() {
        return Err(WriteError::Invalid("there are no tensors to write".to_owned()));
    }
    if specs.iter().any(|s| s.name == METADATA) {
        return Err(invalid(METADATA, "the format keeps this name for metadata"));
    }
    match specs.windows(2).find(|pair| pair.first().map(|s| &s.name) == pair.last().map(|s| &s.name)) {
        Some(pair) => Err(invalid(pair.first().map_or("", |s| &s.name), "its name comes twice")),
        None => Ok(()),
    }
}

#[derive(Serialize)]
struct Described<'a> {
    dtype: String,
    shape: &'a [usize],
    data_offsets: [usize; 2],
}

/// Everything before the data: length, then JSON padded with spaces to a multiple of 8.
pub(super) fn header(specs: &[TensorSpec], metadata: &BTreeMap<String, String>) -> Result<Vec<u8>, WriteError> {
    let json = |value: serde_json::Result<String>| value.map_err(|e| WriteError::Invalid(e.to_string()));
    let mut text = String::from("{");
    if !metadata.is_empty() {
        text.extend(["\"", METADATA, "\":", &json(serde_json::to_string(metadata))?]);
    }
    let mut start = 0_usize;
    for spec in specs {
        let end =
            start.checked_add(spec.bytes()?).ok_or_else(|| invalid(&spec.name, "the file would exceed 64 bits"))?;
        let described = Described { dtype: spec.dtype.to_string(), shape: &spec.shape, data_offsets: [start, end] };
        if text.len() > 1 {
            text.push(',');
        }
        text += &json(serde_json::to_string(&spec.name))?;
        text.push(':');
        text += &json(serde_json::to_string(&described))?;
        start = end;
    }
    text.push('}');
    text.extend(std::iter::repeat_n(' ', text.len().next_multiple_of(8) - text.len()));
    if text.len() > MAX_HEADER {
        return Err(WriteError::Invalid(format!(
            "the header would take {} bytes, more than the {MAX_HEADER} that the format allows; write smaller shards",
            text.len()
        )));
    }
    let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(text.as_bytes());
    Ok(bytes)
}

/// Cuts sorted tensors into shards of at most `limit` bytes of data, each of at least one tensor.
pub(super) fn shards(specs: &[TensorSpec], limit: u64) -> Result<Vec<Range<usize>>, WriteError> {
    let mut shards = Vec::new();
    let (mut start, mut filled) = (0, 0_u64);
    for (at, spec) in specs.iter().enumerate() {
        let bytes = spec.bytes()? as u64;
        if at > start && filled.saturating_add(bytes) > limit {
            shards.push(start..at);
            (start, filled) = (at, 0);
        }
        filled = filled.saturating_add(bytes);
    }
    shards.push(start..specs.len());
    Ok(shards)
}

/// Writes a whole safetensors file of tensors that are in memory: sorted by name, the same bytes every time.
/// For use inside [`replace_file`](super::replace_file).
///
/// # Errors
/// The writer's; `InvalidInput` for names that come twice, the name `__metadata__`, or data of a wrong length.
pub fn write_safetensors(
    out: &mut dyn Write,
    tensors: &[(TensorSpec, &[u8])],
    metadata: &BTreeMap<String, String>,
) -> io::Result<()> {
    let refuse = |error: WriteError| io::Error::new(io::ErrorKind::InvalidInput, error);
    let mut specs: Vec<TensorSpec> = tensors.iter().map(|(spec, _)| spec.clone()).collect();
    sort(&mut specs).map_err(refuse)?;
    let mut sorted: Vec<&(TensorSpec, &[u8])> = tensors.iter().collect();
    sorted.sort_by(|a, b| a.0.name.cmp(&b.0.name));
    for (spec, data) in &sorted {
        check_length(spec, data).map_err(refuse)?;
    }
    out.write_all(&header(&specs, metadata).map_err(refuse)?)?;
    sorted.iter().try_for_each(|(_, data)| out.write_all(data))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(name: &str, dtype: Dtype, shape: &[usize]) -> TensorSpec {
        TensorSpec { name: name.to_owned(), dtype, shape: shape.to_vec() }
    }

    #[test]
    fn the_safetensors_crate_reads_what_we_write() {
        let metadata =
            BTreeMap::from([("format".to_owned(), "pt".to_owned()), ("a \"quote\"\n".to_owned(), "é".to_owned())]);
        let tensors = [
            (spec("z\u{1b}", Dtype::F32, &[2]), &[1_u8, 2, 3, 4, 5, 6, 7, 8][..]),
            (spec("b", Dtype::I8, &[3, 1]), &[1, 2, 3]),
            (spec("empty", Dtype::F16, &[0, 5]), &[]),
            (spec("scalar", Dtype::BF16, &[]), &[7, 7]),
        ];
        let mut file = Vec::new();
        write_safetensors(&mut file, &tensors, &metadata).unwrap();
        let (length, about) = safetensors::SafeTensors::read_metadata(&file).unwrap();
        assert_eq!(length % 8, 0);
        assert_eq!(about.metadata().clone().unwrap().into_iter().collect::<BTreeMap<_, _>>(), metadata);
        let read = safetensors::SafeTensors::deserialize(&file).unwrap();
        assert_eq!(read.len(), 4);
        for (spec, data) in &tensors {
            let view = read.tensor(&spec.name).unwrap();
            assert_eq!((view.dtype(), view.shape(), view.data()), (spec.dtype, &spec.shape[..], *data));
        }
        let mut again = Vec::new();
        let mut reversed = tensors;
        reversed.reverse();
        write_safetensors(&mut again, &reversed, &metadata).unwrap();
        assert_eq!(again, file);
    }

    #[test]
    fn what_would_be_unreadable_is_refused() {
        let refused = |tensors: &[(TensorSpec, &[u8])]| {
            write_safetensors(&mut Vec::new(), tensors, &BTreeMap::new()).unwrap_err().to_string()
        };
        assert!(refused(&[(spec(METADATA, Dtype::U8, &[1]), &[1])]).contains("__metadata__"));
        let twice = spec("a", Dtype::U8, &[1]);
        assert!(refused(&[(twice.clone(), &[1]), (twice, &[2])]).contains("twice"));
        assert!(refused(&[(spec("a", Dtype::F32, &[2]), &[1])]).contains("1 bytes were given"));
        assert!(refused(&[]).contains("no tensors"));
    }

    #[test]
    fn shards_are_filled_to_the_limit_and_hold_at_least_one_tensor() {
        let specs: Vec<TensorSpec> =
            [4, 4, 9, 1, 1].iter().enumerate().map(|(i, n)| spec(&i.to_string(), Dtype::U8, &[*n])).collect();
        assert_eq!(shards(&specs, 8).unwrap(), [0..2, 2..3, 3..5]);
        assert_eq!(shards(&specs, 100).unwrap().len(), 1);
        assert_eq!(shards(&specs, 0).unwrap().len(), 5);
    }
}
