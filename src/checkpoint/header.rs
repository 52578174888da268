//! The header of a safetensors file, checked whole before anything it says is believed.
//! Format: <https://huggingface.co/docs/safetensors>, 8 bytes of header length, JSON, data without holes.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::json::{kind_of, members};
use super::{Dtype, escaped};

/// The format's own limit on the header's length.
const MAX_HEADER: u64 = 100_000_000;
/// Longest part of a tensor's name that a message quotes.
const SHOWN: usize = 200;
/// How long a value from the header may be in a message.
const SHOWN_VALUE: usize = 80;
/// The member that holds no tensor.
pub(super) const METADATA: &str = "__metadata__";

/// What a header says, proven consistent with itself and with the file's length.
#[derive(Debug)]
pub(super) struct Header {
    /// Tensors sorted by name.
    pub(super) tensors: Vec<Entry>,
    /// `__metadata__`.
    pub(super) metadata: BTreeMap<String, String>,
}

/// A tensor as its header describes it.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) dtype: Dtype,
    pub(super) shape: Vec<usize>,
    /// Where the data lies, in bytes of the file.
    pub(super) range: Range<usize>,
}

impl Header {
    /// Reads and checks the header of the file whose content is `file`; the error is a reason without the file's name.
    pub(super) fn read(file: &[u8]) -> Result<Self, String> {
        let (json, data) = split(file)?;
        // A copy: what is checked must not change below us, which a mapped file might.
        let json = String::from_utf8(json.to_vec()).map_err(|_| {
            "the header is not valid UTF-8 text; the file is damaged or not a safetensors file".to_owned()
        })?;
        let mut tensors = Vec::new();
        let mut metadata = None;
        members(&json, |name, value| {
            if name != METADATA {
                tensors.push(entry(name, value)?);
            } else if metadata.replace(texts(value)?).is_some() {
                return Err(format!("the header lists {METADATA} twice"));
            }
            Ok(())
        })
        .map_err(|error| error.about("the header"))?;
        let end = file.len().saturating_sub(data);
        check_layout(&mut tensors, end)?;
        check_names(&mut tensors)?;
        for tensor in &mut tensors {
            // In bounds: check_layout has shown that the end is at most the file's.
            tensor.range = tensor.range.start + data..tensor.range.end + data;
        }
        Ok(Self { tensors, metadata: metadata.unwrap_or_default() })
    }
}

/// The header's bytes and where the data begins.
fn split(file: &[u8]) -> Result<(&[u8], usize), String> {
    let Some((length, rest)) = file.split_first_chunk::<8>() else {
        return Err(too_short(file.len()));
    };
    if let Some(reason) = known_impostor(file) {
        return Err(reason);
    }
    let length = u64::from_le_bytes(*length);
    if length == 0 {
        return Err("the header length is 0; this is not a safetensors file".to_owned());
    }
    if length > MAX_HEADER {
        let more = if length > rest.len() as u64 { "more than the file holds" } else { "more than the format allows" };
        return Err(format!("the header claims {length} bytes, {more}; this is not a safetensors file"));
    }
    let length = length as usize;
    match rest.get(..length) {
        Some(header) => Ok((header, 8 + length)),
        None if rest.first() == Some(&b'{') => Err(format!(
            "the file is incomplete: the header claims {length} bytes but the file ends {} bytes into it; \
             download or copy it again",
            rest.len()
        )),
        None => {
            Err(format!("the header claims {length} bytes, more than the file holds; this is not a safetensors file"))
        }
    }
}

fn too_short(length: usize) -> String {
    match length {
        0 => "the file is empty (0 bytes); download or copy it again".to_owned(),
        length => format!(
            "the file is too short to be a safetensors file ({length} bytes, at least 8 needed); download or copy it again"
        ),
    }
}

/// What commonly lies where weights should.
fn known_impostor(file: &[u8]) -> Option<String> {
    let start = file.get(..file.len().min(512)).unwrap_or_default();
    let text = String::from_utf8_lossy(start).to_ascii_lowercase();
    let text = text.trim_start_matches('\u{feff}').trim_start();
    if text.starts_with("version https://git-lfs") {
        return Some(
            "the file is a Git LFS pointer (a text stub), not the weights; run 'git lfs pull' or download it again"
                .into(),
        );
    }
    if text.starts_with("<!doctype") || text.starts_with("<html") {
        return Some(
            "this is not a safetensors file (it looks like a web page): the download link returned an error page; \
             download it again"
                .into(),
        );
    }
    let other = if file.starts_with(b"GGUF") {
        "GGUF, which is not read"
    } else if file.starts_with(b"PK\x03\x04") {
        "a zip archive or a pickle (pytorch_model.bin), which is not loaded"
    } else {
        return None;
    };
    Some(format!("this is not a safetensors file but {other}; convert the model to safetensors"))
}

#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow)]
    dtype: Option<&'a RawValue>,
    #[serde(borrow)]
    shape: Option<&'a RawValue>,
    #[serde(borrow)]
    data_offsets: Option<&'a RawValue>,
}

/// One member of the header; its range is still relative to the data.
fn entry(name: String, value: &RawValue) -> Result<Entry, String> {
    let tensor = format!("tensor {}", escaped(&name, SHOWN));
    let kind = kind_of(value.get());
    if kind != "an object" {
        return Err(format!("the header is not valid: {tensor} is described by {kind}, not an object"));
    }
    let fields: Fields = serde_json::from_str(value.get())
        .map_err(|e| format!("the header is not valid: {tensor}: {}", super::json::words(&e)))?;
    let given = |field: Option<_>, key| field.ok_or_else(|| format!("{tensor} has no {key}"));
    let dtype = dtype(&tensor, given(fields.dtype, "dtype")?)?;
    let shape = shape(&tensor, given(fields.shape, "shape")?)?;
    let range = offsets(&tensor, given(fields.data_offsets, "data_offsets")?)?;
    let need = byte_count(&shape, dtype).map_err(|reason| format!("{tensor}: {reason}"))?;
    let have = range.end - range.start;
    if need != have {
        return Err(format!("{tensor} with shape {shape:?} and type {dtype} needs {need} bytes but has {have}"));
    }
    Ok(Entry { name, dtype, shape, range })
}

fn dtype(tensor: &str, value: &RawValue) -> Result<Dtype, String> {
    let Ok(word) = serde_json::from_str::<String>(value.get()) else {
        return Err(format!("{tensor} has the type {}, which is not text", shown(value)));
    };
    Dtype::deserialize(serde::de::value::StrDeserializer::<serde::de::value::Error>::new(&word))
        .map_err(|_| format!("{tensor} has the unknown type \"{}\"", escaped(&word, SHOWN_VALUE)))
}

fn shape(tensor: &str, value: &RawValue) -> Result<Vec<usize>, String> {
    whole_numbers(value).map_err(|problem| match problem {
        Problem::Negative => format!("{tensor} has a negative dimension in its shape {}", shown(value)),
        Problem::NotWhole => format!("{tensor} has a dimension that is not a whole number: {}", shown(value)),
        Problem::TooLarge => format!("{tensor} has a dimension that is too large: {}", shown(value)),
        Problem::NotNumbers => format!("{tensor} has a shape that is not a list of whole numbers: {}", shown(value)),
    })
}

fn offsets(tensor: &str, value: &RawValue) -> Result<Range<usize>, String> {
    let not = || format!("{tensor} has data_offsets that are not two whole numbers: {}", shown(value));
    let numbers = whole_numbers(value).map_err(|problem| match problem {
        Problem::Negative => format!("{tensor} has a negative offset: {}", shown(value)),
        Problem::TooLarge => format!("{tensor} has an offset past the end of any file: {}", shown(value)),
        Problem::NotWhole | Problem::NotNumbers => not(),
    })?;
    match numbers[..] {
        [start, end] if start <= end => Ok(start..end),
        [start, end] => Err(format!("{tensor} ends before it starts (data_offsets [{start}, {end}])")),
        _ => Err(not()),
    }
}

enum Problem {
    Negative,
    NotWhole,
    TooLarge,
    NotNumbers,
}

fn whole_numbers(value: &RawValue) -> Result<Vec<usize>, Problem> {
    let values: Vec<Value> = serde_json::from_str(value.get()).map_err(|_| Problem::NotNumbers)?;
    let whole = |value: &Value| match (value.as_u64(), value.as_f64()) {
        (Some(n), _) => usize::try_from(n).map_err(|_| Problem::TooLarge),
        (None, Some(x)) if x < 0.0 => Err(Problem::Negative),
        // Whole numbers beyond 64 bits reach us as floats.
        (None, Some(x)) if x >= 18_446_744_073_709_551_616.0 => Err(Problem::TooLarge),
        (None, Some(_)) => Err(Problem::NotWhole),
        (None, None) => Err(Problem::NotNumbers),
    };
    values.iter().map(whole).collect()
}

/// Bytes of a tensor; the error is a reason without the tensor's name.
pub(super) fn byte_count(shape: &[usize], dtype: Dtype) -> Result<usize, String> {
    let too_large = |what: &str| format!("the shape {} is too large ({what} exceeds 64 bits)", shown_shape(shape));
    let elements =
        shape.iter().try_fold(1_usize, |n, d| n.checked_mul(*d)).ok_or_else(|| too_large("its element count"))?;
    let bits = elements.checked_mul(dtype.bitsize()).ok_or_else(|| too_large("its byte count"))?;
    if bits % 8 != 0 {
        return Err(format!("{elements} elements of type {dtype} do not fill whole bytes"));
    }
    Ok(bits / 8)
}

/// Proves that the tensors fill `0..end` without hole or overlap. Sorts them by place.
fn check_layout(tensors: &mut [Entry], end: usize) -> Result<(), String> {
    if tensors.is_empty() {
        return Err("the file holds no tensors: every weight of a model is missing; download or copy it again".into());
    }
    tensors.sort_by_key(|t| (t.range.start, t.range.end));
    let mut before: Option<&Entry> = None;
    for tensor in &*tensors {
        let filled = before.map_or(0, |t| t.range.end);
        let name = escaped(&tensor.name, SHOWN);
        match (before, tensor.range.start) {
            (Some(other), start) if start < filled && other.name == tensor.name => return Err(twice(&tensor.name)),
            (Some(other), start) if start < filled => {
                return Err(format!("tensors {} and {name} overlap in the file", escaped(&other.name, SHOWN)));
            }
            (_, start) if start > filled && tensor.range.end > end => {
                return Err(format!(
                    "tensor {name} ends at byte {}, past the end of the data ({end} bytes)",
                    tensor.range.end
                ));
            }
            (_, start) if start > filled => {
                return Err(format!(
                    "{} bytes before tensor {name} belong to no tensor; the file is damaged",
                    start - filled
                ));
            }
            _ => before = Some(tensor),
        }
    }
    let described = before.map_or(0, |t| t.range.end);
    if described > end {
        return Err(format!(
            "the file is incomplete: its header describes {described} bytes of tensor data but only {end} are there; \
             download or copy it again"
        ));
    }
    if described < end {
        return Err(format!(
            "{} bytes after the last tensor are not described by the header; the file is damaged, download or copy it again",
            end - described
        ));
    }
    Ok(())
}

/// Sorts by name and refuses a name that comes twice.
fn check_names(tensors: &mut [Entry]) -> Result<(), String> {
    tensors.sort_by(|a, b| a.name.cmp(&b.name));
    match tensors.windows(2).find_map(|pair| match pair {
        [a, b] if a.name == b.name => Some(twice(&a.name)),
        _ => None,
    }) {
        Some(reason) => Err(reason),
        None => Ok(()),
    }
}

fn twice(name: &str) -> String {
    format!("the header lists tensor {} twice", escaped(name, SHOWN))
}

/// `__metadata__`: text to text.
fn texts(value: &RawValue) -> Result<BTreeMap<String, String>, String> {
    let mut texts = BTreeMap::new();
    if value.get() == "null" {
        return Ok(texts);
    }
    members(value.get(), |key, value| {
        let Ok(text) = serde_json::from_str::<String>(value.get()) else {
            return Err(format!(
                "{METADATA} value \"{}\" is {}; the format allows only text there (store it as a JSON string)",
                escaped(&key, SHOWN_VALUE),
                kind_of(value.get())
            ));
        };
        let twice = format!("{METADATA} lists \"{}\" twice", escaped(&key, SHOWN_VALUE));
        texts.insert(key, text).map_or(Ok(()), |_| Err(twice))
    })
    .map_err(|error| error.about(METADATA))?;
    Ok(texts)
}

fn shown(value: &RawValue) -> String {
    escaped(value.get(), SHOWN_VALUE)
}

fn shown_shape(shape: &[usize]) -> String {
    escaped(&format!("{shape:?}"), SHOWN_VALUE)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file(header: &str, data: usize) -> Vec<u8> {
        let mut file = (header.len() as u64).to_le_bytes().to_vec();
        file.extend_from_slice(header.as_bytes());
        file.resize(file.len() + data, 0);
        file
    }

    fn refused(header: &str, data: usize) -> String {
        Header::read(&file(header, data)).unwrap_err()
    }

    /// What holds for every header that is believed.
    fn check(file: &[u8]) {
        let Ok(header) = Header::read(file) else { return };
        assert!(header.tensors.is_sorted_by(|a, b| a.name < b.name));
        let data: usize = header.tensors.iter().map(|t| t.range.len()).sum();
        assert!(data < file.len());
        for tensor in &header.tensors {
            assert!(file.get(tensor.range.clone()).is_some());
            assert_eq!(byte_count(&tensor.shape, tensor.dtype), Ok(tensor.range.len()));
        }
    }

    #[test]
    fn each_rule_has_its_words() {
        let one = |fields: &str| refused(&format!("{{\"a\":{{{fields}}}}}"), 4);
        let cases = [
            (one(r#""dtype":7,"shape":[1],"data_offsets":[0,4]"#), "which is not text"),
            (one(r#""dtype":"F32","shape":[1],"data_offsets":[0]"#), "not two whole numbers"),
            (one(r#""dtype":"F32","shape":[1],"data_offsets":[0,1e30]"#), "past the end of any file"),
            (one(r#""dtype":"F32","shape":"x","data_offsets":[0,4]"#), "not a list of whole numbers"),
            (one(r#""dtype":"F32","shape":[1],"shape":[1],"data_offsets":[0,4]"#), "duplicate field"),
            (one(r#""dtype":"F4","shape":[1],"data_offsets":[0,4]"#), "do not fill whole bytes"),
            (one(r#""shape":[1],"data_offsets":[0,4]"#), "tensor a has no dtype"),
            (refused(r#"{"a":7}"#, 0), "tensor a is described by a number"),
            (refused(r#"{"__metadata__":{},"__metadata__":{}}"#, 0), "lists __metadata__ twice"),
            (refused(r#"{"__metadata__":{"k":"1","k":"2"}}"#, 0), "lists \"k\" twice"),
            (refused(r#"{"__metadata__":[]}"#, 0), "__metadata__ is a list"),
            (refused(r#"{"a":{"dtype":"F32""#, 0), "not valid JSON (it ends early"),
            (refused("   ", 0), "not valid JSON (it is empty)"),
            (refused("{} x", 0), "not valid JSON"),
        ];
        for (message, fragment) in cases {
            assert!(message.contains(fragment), "{message:?} lacks {fragment:?}");
        }
    }

    #[test]
    fn an_empty_tensor_may_stand_between_others() {
        let described = |name: &str, n: usize, start: usize| {
            format!(r#""{name}":{{"dtype":"U8","shape":[{n}],"data_offsets":[{start},{}]}}"#, start + n)
        };
        let header = format!("{{{},{},{}}}", described("b", 0, 4), described("c", 4, 4), described("a", 4, 0));
        let read = Header::read(&file(&header, 8)).unwrap();
        assert_eq!(read.tensors.iter().map(|t| t.range.len()).collect::<Vec<_>>(), [4, 0, 4]);
    }

    #[test]
    fn a_header_beyond_the_format_is_refused_though_the_file_holds_it() {
        let mut file = vec![b' '; MAX_HEADER as usize + 9];
        file[..8].copy_from_slice(&(MAX_HEADER + 1).to_le_bytes());
        assert!(Header::read(&file).unwrap_err().contains("more than the format allows"));
    }

    /// Parts of headers, valid and not.
    fn value() -> impl Strategy<Value = String> {
        prop_oneof![
            Just("0".to_owned()),
            Just("-1".to_owned()),
            Just("1.5".to_owned()),
            Just("18446744073709551615".to_owned()),
            Just("[]".to_owned()),
            Just("{}".to_owned()),
            Just("\"F32\"".to_owned()),
            (0_u64..20, 0_u64..20).prop_map(|(a, b)| format!("[{a},{b}]")),
        ]
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            check(&bytes);
            check(&file(&String::from_utf8_lossy(&bytes), 8));
        }

        #[test]
        fn mutated_headers_never_panic(
            edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4), cut in any::<prop::sample::Index>(),
        ) {
            let mut bytes = include_bytes!("../../tests/data/bad_files/ok_base/model.safetensors").to_vec();
            let header = bytes[0] as usize + 256 * bytes[1] as usize + 8;
            for (at, byte) in edits {
                bytes[at.index(header)] = byte;
            }
            check(&bytes);
            bytes.truncate(cut.index(bytes.len()));
            check(&bytes);
        }

        #[test]
        fn assembled_headers_never_panic(
            members in prop::collection::vec(("[a-c]|__metadata__", value(), value(), value()), 0..4), data in 0_usize..40,
        ) {
            let members: Vec<String> = members
                .into_iter()
                .map(|(name, dtype, shape, place)| {
                    format!("\"{name}\":{{\"dtype\":{dtype},\"shape\":{shape},\"data_offsets\":{place}}}")
                })
                .collect();
            check(&file(&format!("{{{}}}", members.join(",")), data));
        }
    }
}
