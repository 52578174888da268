//! Every damaged checkpoint of `tests/data/bad_files` gets one line that says what is wrong; the valid ones open.

use std::path::{Path, PathBuf};

use rankscope::checkpoint::{Checkpoint, CheckpointError};

fn folder(case: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/bad_files").join(case)
}

/// Fails unless the message is one printable line with all fragments.
fn check(case: &str, error: &CheckpointError, fragments: &[&str]) {
    let message = error.to_string();
    for fragment in fragments {
        assert!(message.contains(fragment), "{case}: {message:?} lacks {fragment:?}");
    }
    assert!(!message.chars().any(char::is_control), "{case}: {message:?}");
    assert!(message.len() < 600, "{case}: {message:?}");
}

const FILE: &str = "model.safetensors: ";
const INDEX: &str = "model.safetensors.index.json: ";

/// Case, and what the message of opening it must contain.
const REFUSED: &[(&str, &[&str])] = &[
    ("dtype_unknown", &[FILE, "tensor model.embed_tokens.weight has the unknown type \"Q7\""]),
    ("file_is_directory", &[FILE, "is a directory, not a file"]),
    ("file_is_html", &[FILE, "not a safetensors file", "web page", "error page"]),
    ("file_is_lfs_pointer", &[FILE, "Git LFS pointer", "git lfs pull"]),
    (
        "file_missing",
        &["bad_files/file_missing: ", "no model.safetensors and no model.safetensors.index.json in this folder"],
    ),
    (
        "file_only_pickle",
        &["no model.safetensors here, only pytorch_model.bin (a pickle)", "convert it to safetensors"],
    ),
    ("file_seven_bytes", &[FILE, "too short", "7 bytes, at least 8 needed"]),
    ("file_trailing_bytes", &[FILE, "16 bytes after the last tensor", "damaged"]),
    (
        "file_truncated_data",
        &[FILE, "incomplete", "6048 bytes of tensor data but only 3024 are there", "copy it again"],
    ),
    ("file_truncated_in_header", &[FILE, "incomplete", "the file ends 192 bytes into it", "copy it again"]),
    ("file_zero_bytes", &[FILE, "empty (0 bytes)", "copy it again"]),
    ("header_deep_nesting", &[FILE, "the header is not valid"]),
    ("header_duplicate_key", &[FILE, "the header lists tensor model.norm.weight twice"]),
    ("header_json_list", &[FILE, "the header is a list, not an object"]),
    (
        "header_length_2pow63",
        &[FILE, "claims 9223372036854775808 bytes, more than the file holds", "not a safetensors file"],
    ),
    ("header_length_beyond_file", &[FILE, "claims 50000 bytes", "incomplete"]),
    ("header_length_u64_max", &[FILE, "claims 18446744073709551615 bytes", "more than the file holds"]),
    ("header_length_zero", &[FILE, "the header length is 0", "not a safetensors file"]),
    ("header_missing_field", &[FILE, "tensor model.norm.weight has no data_offsets"]),
    ("header_no_tensors", &[FILE, "holds no tensors"]),
    ("header_not_json", &[FILE, "the header is not valid JSON"]),
    ("header_not_utf8", &[FILE, "the header is not valid UTF-8"]),
    ("index_missing_shard", &[INDEX, "names model-00002-of-00002.safetensors, which is not in this folder"]),
    ("index_no_weight_map", &[INDEX, "has no weight_map"]),
    ("index_not_json", &[INDEX, "is not valid JSON"]),
    ("index_path_absolute", &[INDEX, "names '/etc/hostname'; a shard must be a file in this folder"]),
    ("index_path_outside", &[INDEX, "names '../outside.safetensors'; a shard must be a file in this folder"]),
    (
        "index_tensor_not_in_shard",
        &[INDEX, "tensor model.norm.weight is in model-00002-of-00002.safetensors, which does not hold it"],
    ),
    ("metadata_number", &[FILE, "__metadata__ value \"step\" is a number; the format allows only text there"]),
    ("metadata_object", &[FILE, "\"compression_meta\" is an object", "only text there (store it as a JSON string)"]),
    ("offsets_hole", &[FILE, "64 bytes before tensor model.norm.weight belong to no tensor", "damaged"]),
    ("offsets_negative", &[FILE, "tensor lm_head.weight has a negative offset"]),
    ("offsets_out_of_bounds", &[FILE, "tensor model.norm.weight ends at byte 1000000032, past the end of the data"]),
    ("offsets_overlap", &[FILE, "tensors lm_head.weight and model.embed_tokens.weight overlap in the file"]),
    ("offsets_reversed", &[FILE, "tensor model.norm.weight ends before it starts"]),
    (
        "shape_bytes_mismatch",
        &[FILE, "tensor model.embed_tokens.weight with shape [32, 9] and type F32 needs 1152 bytes but has 1024"],
    ),
    ("shape_bytes_overflow", &[FILE, "tensor model.norm.weight", "too large", "byte count exceeds 64 bits"]),
    ("shape_float", &[FILE, "tensor model.embed_tokens.weight has a dimension that is not a whole number: [32.0,8]"]),
    ("shape_negative", &[FILE, "tensor model.embed_tokens.weight has a negative dimension in its shape [-32,-8]"]),
    ("shape_product_overflow", &[FILE, "tensor model.norm.weight", "too large"]),
];

#[test]
fn damaged_weights_are_refused_with_the_reason() {
    for (case, fragments) in REFUSED {
        match Checkpoint::open(&folder(case)) {
            Ok(_) => panic!("{case} opened"),
            Err(error) => check(case, &error, fragments),
        }
    }
}

/// Case, and what the message of asking for its config must contain.
const CONFIG_REFUSED: &[(&str, &[&str])] = &[
    ("config_missing", &["bad_files/config_missing: ", "no config.json in this folder"]),
    ("config_not_json", &["config.json: ", "not valid JSON (line 6)"]),
    ("config_is_list", &["config.json: ", "is a list in JSON, not an object"]),
];

#[test]
fn a_broken_config_hinders_running_but_not_opening() {
    for (case, fragments) in CONFIG_REFUSED {
        let checkpoint = Checkpoint::open(&folder(case)).unwrap();
        assert_eq!(checkpoint.tensors().len(), 21);
        check(case, &checkpoint.config().unwrap_err(), fragments);
    }
}

/// Case, and what the message of asking for its tokenizer must contain.
const TOKENIZER_REFUSED: &[(&str, &[&str])] = &[
    (
        "tokenizer_missing",
        &["no tokenizer.json in this folder", "cannot be turned into tokens", "inspecting the weights"],
    ),
    ("tokenizer_truncated", &["tokenizer.json: ", "not valid JSON: it ends early; download it again"]),
    ("tokenizer_unknown_model", &["tokenizer.json: ", "model type \"Martian\", which is not supported"]),
    (
        "tokenizer_merge_unknown_token",
        &["tokenizer.json: ", "merge \"q\" + \"zz\" names a token that is not in the vocabulary"],
    ),
];

#[test]
fn a_broken_tokenizer_hinders_text_but_not_opening() {
    for (case, fragments) in TOKENIZER_REFUSED {
        let checkpoint = Checkpoint::open(&folder(case)).unwrap();
        check(case, &checkpoint.tokenizer().unwrap_err(), fragments);
    }
}

#[test]
fn what_is_valid_opens() {
    let others = ["config_", "tokenizer_", "weights_", "dtype_f8", "dtype_integer", "ok_", "tensor_missing"];
    let mut opened = 0;
    for entry in std::fs::read_dir(folder("")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if !others.iter().any(|prefix| name.starts_with(prefix)) {
            continue;
        }
        let checkpoint = Checkpoint::open(&folder(&name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(checkpoint.tensors().is_sorted_by(|a, b| a.name < b.name), "{name}");
        for tensor in checkpoint.tensors() {
            assert_eq!(tensor.data.len() * 8, tensor.elements() * tensor.dtype.bitsize(), "{name}: {}", tensor.name);
            assert!(std::ptr::eq(checkpoint.tensor(&tensor.name).unwrap(), tensor));
        }
        opened += 1;
    }
    assert_eq!(opened, 30);
}

#[test]
fn shards_alignment_and_padding_change_nothing() {
    let base = Checkpoint::open(&folder("ok_base")).unwrap();
    for same in ["ok_sharded", "ok_header_not_aligned", "ok_header_trailing_spaces"] {
        let other = Checkpoint::open(&folder(same)).unwrap();
        assert_eq!(other.fingerprint(), base.fingerprint(), "{same}");
        let values = |c: &Checkpoint| c.tensor("model.norm.weight").unwrap().data.view::<f32>().unwrap().to_vec();
        assert_eq!(values(&other), values(&base), "{same}");
    }
    let nan = Checkpoint::open(&folder("weights_nan")).unwrap();
    assert_ne!(nan.fingerprint(), base.fingerprint());
    let sharded = Checkpoint::open(&folder("ok_sharded")).unwrap();
    let weights = sharded.inputs().into_iter().filter(|path| path.extension().is_some_and(|end| end == "safetensors"));
    assert_eq!(weights.count(), 2);
    assert_eq!(sharded.label(), "ok_sharded");
    assert_eq!(base.total_bytes(), 6048);
}

#[test]
fn a_single_file_finds_what_lies_beside_it() {
    let checkpoint = Checkpoint::open(&folder("ok_base").join("model.safetensors")).unwrap();
    assert_eq!(checkpoint.label(), "model.safetensors");
    assert!(checkpoint.config().unwrap().contains_key("hidden_size"));
    assert_eq!(checkpoint.tokenizer().unwrap().encode("the").unwrap(), [31]);
    let names: Vec<String> = checkpoint.sidecars().into_iter().map(|s| s.name).collect();
    assert_eq!(names, ["config.json", "tokenizer.json"]);
}
