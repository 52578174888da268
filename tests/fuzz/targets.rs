//! What is parsed from outside, each as a function of bytes.

use std::fs;
use std::path::{Path, PathBuf};

use rankscope::checkpoint::{Checkpoint, Dtype, TensorSpec, Tokenizer, escaped, write_safetensors};
use rankscope::compress::{CalibrationFile, FactorCache, Policy, resolve};
use rankscope::control::Control;
use rankscope::measure::parse_probes;
use rankscope::model::{Layer, Model, layers_of, parse_compression_meta, stored_layers};
use rankscope::tui::Config;
use rankscope::tui::colour::Depth;
use rankscope::tui::theme::Theme;
use tempfile::TempDir;

type Parse = dyn Fn(&[u8]) + Sync + Send;

/// One kind of input.
pub struct Target {
    /// Its name, and that of the folder with cases that were found.
    pub name: String,
    /// Valid inputs, and some that are nearly so.
    pub seeds: Vec<Vec<u8>>,
    /// Whether eight bytes with the length of what follows stand before it.
    pub framed: bool,
    run: Box<Parse>,
}

impl Target {
    fn new(name: &str, seeds: Vec<Vec<u8>>, run: impl Fn(&[u8]) + Sync + Send + 'static) -> Self {
        Self { name: name.to_owned(), seeds, framed: false, run: Box::new(run) }
    }

    /// Parses one input, and uses what came of it.
    pub fn run(&self, input: &[u8]) {
        (self.run)(input);
    }

    /// The cases that were found, and where they lie.
    pub fn kept(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let entries = fs::read_dir(data("tests/data/fuzz").join(&self.name)).into_iter().flatten();
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
    }
}

/// All of them, with a folder that they write into.
pub fn all(room: &TempDir) -> Vec<Target> {
    let mut targets = vec![
        header(room),
        index(room),
        compression_meta(room),
        policy(),
        tokenizer(),
        merges(room),
        calibration(room),
        factors(room),
        theme(),
        settings(),
        probes(),
    ];
    targets.extend(FAMILIES.into_iter().map(|family| config(room, family)));
    targets
}

const FAMILIES: [&str; 10] =
    ["gpt_neo", "gpt2", "llama3_rope", "gemma3_text", "phi3_longrope", "gpt_neox", "falcon", "bloom", "mixtral", "opt"];

fn data(path: &str) -> PathBuf {
    Path::new(super::ROOT).join(path)
}

fn read(path: &str) -> Vec<u8> {
    fs::read(data(path)).unwrap()
}

/// A file of that name in every folder of bad and of good data, as far as it is small.
fn all_of(name: &str) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(data("tests/data/bad_files")).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> = entries.map(|folder| folder.join(name)).filter(|path| path.is_file()).collect();
    paths.sort();
    let mut seeds: Vec<Vec<u8>> =
        paths.iter().map(|path| fs::read(path).unwrap()).filter(|seed| seed.len() < 16 << 10).collect();
    seeds.dedup();
    seeds
}

fn folder(room: &TempDir, name: &str) -> PathBuf {
    let folder = room.path().join(name);
    fs::create_dir(&folder).unwrap();
    folder
}

fn spec(name: &str, dtype: Dtype, shape: &[usize]) -> TensorSpec {
    TensorSpec { name: name.to_owned(), dtype, shape: shape.to_vec() }
}

fn file(tensors: &[(TensorSpec, &[u8])], metadata: &[(&str, &str)]) -> Vec<u8> {
    let metadata = metadata.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let mut bytes = Vec::new();
    write_safetensors(&mut bytes, tensors, &metadata).unwrap();
    bytes
}

/// Everything that can be asked of a checkpoint whose weights come from outside.
fn look_at(checkpoint: &Checkpoint) {
    for layer in layers_of(checkpoint) {
        let _ = (escaped(&layer.name, 80), layer.stem(), layer.matrix(checkpoint));
    }
    let _ = (parse_compression_meta(checkpoint), checkpoint.total_bytes(), checkpoint.policy_text());
    for stored in stored_layers(checkpoint).into_iter().flatten() {
        let _ = (stored.weight.base.is_some(), escaped(&stored.name, 80));
    }
    let _ = checkpoint.sidecars().len() + checkpoint.metadata().len();
}

fn header(room: &TempDir) -> Target {
    let path = folder(room, "header").join("model.safetensors");
    let quant = spec("a.U.quant", Dtype::I8, &[2, 1]);
    let mut seeds = vec![
        file(
            &[(spec("a.weight", Dtype::F32, &[2, 2]), &[0; 16]), (spec("b", Dtype::BF16, &[]), &[0; 2])],
            &[("format", "pt")],
        ),
        file(&[(quant, &[1, 2]), (spec("a.U.scale", Dtype::F32, &[2]), &[0; 8])], &[("rankscope_version", "1")]),
    ];
    seeds.extend(all_of("model.safetensors").into_iter().filter(|seed| seed.len() <= 2048));
    let target = Target::new("header", seeds, move |input| {
        fs::write(&path, input).unwrap();
        if let Ok(checkpoint) = Checkpoint::open(&path) {
            look_at(&checkpoint);
        }
    });
    Target { framed: true, ..target }
}

fn index(room: &TempDir) -> Target {
    let folder = folder(room, "index");
    for (shard, tensor) in [("one.safetensors", "a"), ("two.safetensors", "b")] {
        fs::write(folder.join(shard), file(&[(spec(tensor, Dtype::U8, &[1]), &[0])], &[])).unwrap();
    }
    let mut seeds = vec![
        br#"{"metadata": {"total_size": 2}, "weight_map": {"a": "one.safetensors", "b": "two.safetensors"}}"#.to_vec(),
    ];
    seeds.extend(all_of("model.safetensors.index.json"));
    Target::new("index", seeds, move |input| {
        fs::write(folder.join("model.safetensors.index.json"), input).unwrap();
        if let Ok(checkpoint) = Checkpoint::open(&folder) {
            look_at(&checkpoint);
        }
    })
}

fn compression_meta(room: &TempDir) -> Target {
    let path = folder(room, "compression_meta").join("model.safetensors");
    let seeds = vec![
        br#"{"a.U": {"scale": 0.5, "zero_point": 1, "original_shape": [4, 2], "original_dtype": "float32"}, "a.S": {"scale": 0.1, "zero_point": 0, "original_shape": [2], "original_dtype": "float32"}, "a.Vh": {"scale": 2.0, "zero_point": -3, "original_shape": [2, 3], "original_dtype": "float32"}}"#.to_vec(),
        br#"{"a.base": {"scale": null, "zero_point": 0, "original_shape": [4, 3], "original_dtype": "float32", "group": 32}}"#.to_vec(),
    ];
    Target::new("compression_meta", seeds, move |input| {
        let Ok(meta) = str::from_utf8(input) else { return };
        let tensors = [
            (spec("a.U.quant", Dtype::I8, &[4, 2]), &[1_u8; 8][..]),
            (spec("a.S.quant", Dtype::I8, &[2]), &[2; 2]),
            (spec("a.Vh.quant", Dtype::I8, &[2, 3]), &[3; 6]),
            (spec("b.base.quant", Dtype::U8, &[4, 2]), &[4; 8]),
            (spec("b.base.scale", Dtype::F16, &[4, 1]), &[5; 8]),
        ];
        fs::write(&path, file(&tensors, &[("compression_meta", meta)])).unwrap();
        if let Ok(checkpoint) = Checkpoint::open(&path) {
            look_at(&checkpoint);
        }
    })
}

fn config(room: &TempDir, family: &'static str) -> Target {
    let name = format!("config_{family}");
    let folder = folder(room, &name);
    let from = format!("tests/data/golden/{family}");
    fs::copy(data(&from).join("model.safetensors"), folder.join("model.safetensors")).unwrap();
    let mut seeds = vec![read(&format!("{from}/config.json"))];
    if family == FAMILIES[0] {
        seeds.extend(all_of("config.json"));
    }
    Target::new(&name, seeds, move |input| {
        fs::write(folder.join("config.json"), input).unwrap();
        let Ok(checkpoint) = Checkpoint::open(&folder) else { return };
        let _ = layers_of(&checkpoint).len();
        let Ok(model) = Model::load(&checkpoint) else { return };
        let (mut cache, control) = (model.cache(), Control::new());
        let _ = model.forward(&[1, 2, 3], &mut cache, &control);
        let _ = model.forward(&[u32::MAX], &mut cache, &control);
    })
}

fn policy() -> Target {
    let checkpoint = Checkpoint::open(&data("tests/data/golden/gpt_neo")).unwrap();
    let layers: Vec<Layer> = layers_of(&checkpoint);
    let seeds = [
        r#"{"rankscope_policy": 1, "rules": [{"match": "*", "base": "dense"}, {"match": "*.k_proj.weight", "min_dim": 8, "base": "none", "rank": 4, "factors": "int8", "note": "x"}]}"#,
        r#"{"rankscope_policy": 1, "calibration": "abc", "rules": [{"match": "*.{0,1}.*", "base": "int4", "group": 16, "rank": {"ratio": 0.25}, "weighting": "activations", "refit": true}]}"#,
        r#"{"rankscope_policy": 1, "rules": [{"match": "transformer.h.?.[a-m]*", "rank": {"energy": 0.9}, "factors": "f16", "norm_correction": true}]}"#,
    ];
    Target::new("policy", seeds.map(|seed| seed.as_bytes().to_vec()).into(), move |input| {
        let Ok(text) = str::from_utf8(input) else { return };
        let Ok(policy) = Policy::parse(text) else { return };
        let again = Policy::parse(&policy.to_text()).expect("what is written can be read");
        assert_eq!(again.to_text(), policy.to_text());
        if let Ok((plans, _)) = resolve(&policy, &layers, &mut |_, _| Ok(3)) {
            assert!(plans.len() == layers.len() && plans.iter().zip(&layers).all(|(p, l)| p.plan.rank <= l.max_rank()));
        }
    })
}

fn tokenizer() -> Target {
    let mut seeds = vec![
        br#"{"version": "1.0", "truncation": null, "padding": null, "added_tokens": [{"id": 0, "content": "<unk>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true}], "normalizer": null, "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true}, "post_processor": null, "decoder": {"type": "ByteLevel"}, "model": {"type": "BPE", "dropout": null, "unk_token": "<unk>", "continuing_subword_prefix": null, "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "vocab": {"<unk>": 0, "a": 1, "b": 2, "ab": 3}, "merges": ["a b"]}}"#.to_vec(),
        br#"{"version": "1.0", "added_tokens": [{"id": 3, "content": "<s>", "special": true, "single_word": false, "lstrip": false, "rstrip": true, "normalized": false}], "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "_"}, {"type": "Replace", "pattern": {"Regex": " +"}, "content": "_"}]}, "pre_tokenizer": {"type": "WhitespaceSplit"}, "post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}], "pair": [{"Sequence": {"id": "A", "type_id": 0}}], "special_tokens": {"<s>": {"id": "<s>", "ids": [3], "tokens": ["<s>"]}}}, "decoder": {"type": "WordPiece", "prefix": "x", "cleanup": true}, "model": {"type": "WordLevel", "vocab": {"a": 0, "b": 1, "[UNK]": 2}, "unk_token": "[UNK]"}}"#.to_vec(),
        br#"{"added_tokens": [], "normalizer": {"type": "NFKC"}, "pre_tokenizer": {"type": "Metaspace", "replacement": "_", "prepend_scheme": "always"}, "decoder": {"type": "Metaspace", "replacement": "_"}, "model": {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0.0], ["_a", -1.5], ["b", -2.0]], "byte_fallback": false}}"#.to_vec(),
    ];
    seeds.extend(all_of("tokenizer.json").into_iter().filter(|seed| seed.len() <= 4096));
    Target::new("tokenizer", seeds, |input| {
        let Ok(tokenizer) = Tokenizer::parse(input) else { return };
        use_tokenizer(&tokenizer);
    })
}

fn use_tokenizer(tokenizer: &Tokenizer) {
    let ids = tokenizer.encode("ab a  bé\u{1f642}<s>").unwrap_or_default();
    let ids = [&ids[..], &[0, 3, u32::MAX]].concat();
    let mut stream = tokenizer.stream();
    let pieces: String = ids.iter().map(|id| stream.push(*id)).collect();
    assert_eq!(pieces + &stream.finish(), tokenizer.decode(&ids));
    let _ =
        (tokenizer.opening(), tokenizer.id_bound(), tokenizer.id("a"), tokenizer.piece(1), tokenizer.encode_plain("b"));
}

/// `vocab.json` and `merges.txt`, a zero byte between them.
fn merges(room: &TempDir) -> Target {
    let folder = folder(room, "merges");
    fs::copy(data("tests/data/golden/gpt2/model.safetensors"), folder.join("model.safetensors")).unwrap();
    let seed = [&br#"{"a": 0, "b": 1, "ab": 2, "<|endoftext|>": 3}"#[..], &[0], b"#version: 0.2\na b\n"].concat();
    Target::new("merges", vec![seed], move |input| {
        let cut = input.iter().position(|byte| *byte == 0).unwrap_or(input.len());
        let (vocab, merges) = input.split_at(cut);
        fs::write(folder.join("vocab.json"), vocab).unwrap();
        fs::write(folder.join("merges.txt"), merges.get(1..).unwrap_or_default()).unwrap();
        let checkpoint = Checkpoint::open(&folder).unwrap();
        if let Ok(tokenizer) = checkpoint.tokenizer() {
            use_tokenizer(&tokenizer);
        }
    })
}

fn calibration(room: &TempDir) -> Target {
    let path = folder(room, "calibration").join("c.safetensors");
    let inputs = r#"[{"name": "a", "width": 2, "layers": ["a", "b"], "kind": "gram", "tokens": 4}, {"name": "c", "width": 3, "layers": ["c"], "kind": "diagonal", "tokens": 4}]"#;
    let tensors =
        [(spec("a.gram", Dtype::F32, &[3]), &[0_u8; 12][..]), (spec("c.mean_square", Dtype::F32, &[3]), &[0; 12])];
    fs::write(&path, file(&tensors, &[])).unwrap();
    let fingerprint = Checkpoint::open(&path).unwrap().fingerprint();
    let metadata = [
        ("fingerprint", fingerprint.as_str()),
        ("inputs", inputs),
        ("left_out", "[]"),
        ("rankscope_calibration", "2"),
        ("source_fingerprint", "model"),
        ("text", "t"),
        ("tokens", "4"),
        ("windows", "1"),
    ];
    let seed = file(&tensors, &metadata);
    fs::write(&path, &seed).unwrap();
    CalibrationFile::open(&path, "model", None).unwrap();
    let target = Target::new("calibration", vec![seed], move |input| {
        fs::write(&path, input).unwrap();
        if let Ok(found) = CalibrationFile::open(&path, "model", None).map(|file| file.calibration) {
            let _ = (found.statistics("a"), found.statistics("c"));
        }
    });
    Target { framed: true, ..target }
}

/// A kept decomposition.
fn factors(room: &TempDir) -> Target {
    let folder = folder(room, "factors");
    let path = folder.join("model.safetensors");
    let values: Vec<u8> = (1..=6_u8).flat_map(|value| f32::from(value).to_le_bytes()).collect();
    fs::write(&path, file(&[(spec("a.weight", Dtype::F32, &[2, 3]), &values)], &[])).unwrap();
    let checkpoint = Checkpoint::open(&path).unwrap();
    let layers = layers_of(&checkpoint);
    let kept = folder.join("kept");
    let find = move |kept: &Path| {
        let cache = FactorCache::new(Some(kept.to_owned()));
        let layer = layers.first().unwrap();
        let (tensor, matrix) = (checkpoint.tensor(&layer.tensor).unwrap(), layer.matrix(&checkpoint).unwrap());
        cache.get(tensor, &matrix, &Control::new()).unwrap()
    };
    let whole = find(&kept);
    let made = fs::read_dir(&kept).unwrap().next().unwrap().unwrap().path();
    let target = Target::new("factors", vec![fs::read(&made).unwrap()], move |input| {
        fs::write(&made, input).unwrap();
        let found = find(&kept);
        assert_eq!((found.rows, found.cols, found.s.len()), (whole.rows, whole.cols, whole.s.len()));
    });
    Target { framed: true, ..target }
}

fn theme() -> Target {
    let mut names: Vec<PathBuf> = fs::read_dir(data("themes")).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    let seeds = names.iter().take(3).map(|path| fs::read(path).unwrap()).collect();
    Target::new("theme", seeds, |input| {
        if let Ok(text) = str::from_utf8(input) {
            let _ = Theme::parse("own", text, Depth::True).map_err(|error| error.to_string());
        }
    })
}

fn settings() -> Target {
    let seed = b"theme = \"light\"\nmouse = false\nmax_tokens = 120\n".to_vec();
    Target::new("settings", vec![seed], |input| {
        if let Ok(text) = str::from_utf8(input) {
            let _ = Config::parse(text).map_err(|error| error.to_string());
        }
    })
}

fn probes() -> Target {
    let seed =
        b"{\"prompt\": \"a\", \"expected\": \"b\"}\n\n{\"prompt\": \"c\", \"expected\": \"d\", \"x\": 1}\n".to_vec();
    Target::new("probes", vec![seed], |input| {
        if let Ok(text) = str::from_utf8(input) {
            let _ = parse_probes(text);
        }
    })
}
