//! Exports of small models, read back: by the `safetensors` crate, and as models that run.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rankscope::checkpoint::{Checkpoint, Dtype};
use rankscope::compress::{
    Base, ExportError, ExportKind, ExportOptions, Exported, FactorCache, Factors, Layout, Plan, Policy,
    compressed_weight, export, measured_error, plan_export, resolve,
};
use rankscope::control::Control;
use rankscope::model::{Kind, Layer, Model, StoredLayer, layers_of, stored_layers};
use safetensors::SafeTensors;

/// The layout that is usual.
pub const LAYOUT: Layout = Layout::Native;
/// An export in it.
pub const COMPRESSED: ExportKind = ExportKind::Compressed(LAYOUT);
const CLASSIC: ExportKind = ExportKind::Compressed(Layout::Classic);

/// A model and what becomes of its layers.
pub struct Opened {
    /// The model.
    pub checkpoint: Checkpoint,
    layers: Vec<Layer>,
    plans: Vec<Plan>,
    policy: Policy,
}

/// A golden model's folder.
pub fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/golden").join(name)
}

/// A model with the plans of `plan` for each layer, as a policy gives them.
pub fn opened(path: &Path, plan: impl Fn(usize, &Layer) -> Plan) -> Opened {
    let checkpoint = Checkpoint::open(path).unwrap();
    let layers = layers_of(&checkpoint);
    let wanted: Vec<Plan> = layers.iter().enumerate().map(|(index, layer)| plan(index, layer)).collect();
    let policy = Policy::default().with_plans(&layers, &vec![Plan::dense(); layers.len()], &wanted);
    let (resolved, _) = resolve(&policy, &layers, &mut |_, _| Err("no shares here".into())).unwrap();
    let plans: Vec<Plan> = resolved.iter().map(|resolved| resolved.plan).collect();
    assert_eq!(plans, wanted);
    Opened { checkpoint, layers, plans, policy }
}

/// Every form of plan in turn.
pub fn mixed(index: usize, layer: &Layer) -> Plan {
    let rank = layer.max_rank() / 2;
    let int8 = Plan { base: Base::Int8, ..Plan::dense() };
    match index % 9 {
        0 => Plan::low_rank(rank),
        1 => int8,
        2 => Plan { group: Some(16), ..int8 },
        3 => Plan { rank: 3, factors: Factors::F16, ..int8 },
        4 => Plan { factors: Factors::F32, norm_correction: true, ..Plan::low_rank(rank) },
        5 => Plan { factors: Factors::F16, ..Plan::low_rank(1) },
        6 => Plan { base: Base::Int4, ..int8 },
        7 => Plan { base: Base::Int4, group: Some(9), rank: 2, ..int8 },
        _ => Plan::dense(),
    }
}

/// Every other layer at half its rank.
pub fn halved(index: usize, layer: &Layer) -> Plan {
    if index.is_multiple_of(2) { Plan::low_rank(layer.max_rank() / 2) } else { Plan::dense() }
}

/// An export to `out`.
pub fn options(kind: ExportKind, out: &Path) -> ExportOptions {
    ExportOptions { kind, out: out.to_owned(), shard_bytes: u64::MAX, force: false }
}

/// Writes an export, which is as it was planned.
pub fn exported(model: &Opened, options: &ExportOptions) -> Result<Exported, ExportError> {
    let planned = plan_export(&model.checkpoint, &model.layers, &model.plans, options)?;
    let (cache, control) = (FactorCache::new(None), Control::new());
    let written =
        export(&model.checkpoint, &model.layers, &model.plans, &model.policy, (&cache, None), options, &control)?;
    let (done, total) = control.progress();
    assert_eq!(done, total);
    assert_eq!((planned.bytes, planned.original_bytes), (written.bytes, written.original_bytes));
    let layers: Vec<_> = written.layers.iter().map(|layer| (layer.index, layer.bytes)).collect();
    assert_eq!(planned.layers, layers);
    for (name, bytes) in &planned.files {
        let file = written.files.iter().find(|(file, _)| file == name).unwrap();
        assert!(file.1 > *bytes && fs::metadata(options.out.join(name)).unwrap().len() == file.1);
    }
    Ok(written)
}

/// The model with its layers replaced by what the plans make of them.
pub fn live(model: &Opened, layout: Layout) -> Model {
    let (cache, control) = (FactorCache::new(None), Control::new());
    let mut live = Model::load(&model.checkpoint).unwrap();
    for (index, (layer, plan)) in model.layers.iter().zip(&model.plans).enumerate() {
        if !plan.is_dense() {
            let weight = compressed_weight(&model.checkpoint, layer, plan, layout, &cache, None, &control).unwrap();
            assert_eq!(live.layers()[index].name, layer.name);
            live = live.with_weight(index, Arc::new(weight));
        }
    }
    live
}

/// Logits of some ids.
pub fn logits(model: &Model) -> Vec<f32> {
    let ids: Vec<u32> = (0..24).map(|i| i * 7 % 50).collect();
    model.forward_all(&ids, &mut model.cache(), None, &Control::new()).unwrap()
}

fn folder_bytes(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    files.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect()
}

#[test]
fn a_native_export_runs_to_the_logits_of_the_live_model() {
    let home = tempfile::tempdir().unwrap();
    for name in crate::model_golden::FOLDERS {
        let model = opened(&golden(name), mixed);
        let out = home.path().join(name);
        let written = exported(&model, &options(COMPRESSED, &out)).unwrap();
        let read = Checkpoint::open(&out).unwrap();
        assert_eq!(written.bytes, read.total_bytes());
        let (found, wanted) = (logits(&Model::load(&read).unwrap()), logits(&live(&model, Layout::Native)));
        assert!(found.iter().zip(&wanted).all(|(a, b)| a.to_bits() == b.to_bits()), "{name}");
        for layer in &written.layers {
            let (original, plan) = (&model.layers[layer.index], model.plans[layer.index]);
            assert_eq!(layer.bytes, plan.bytes(original.rows, original.cols, original.bytes));
            let stored = stored_layers(&read).unwrap().into_iter().find(|stored| stored.name == original.name).unwrap();
            let matrix = original.matrix(&model.checkpoint).unwrap();
            let error = measured_error(&matrix, &stored.weight, &Control::new()).unwrap();
            assert!(layer.error.to_bits() == error.to_bits() && error > 0.0);
        }
        assert_eq!(Policy::parse(&read.policy_text().unwrap()).unwrap().rules.len(), model.policy.rules.len());
    }
}

#[test]
fn parts_have_the_names_types_and_shapes_of_the_interface() {
    let home = tempfile::tempdir().unwrap();
    let out = home.path().join("out");
    let model = opened(&golden("gpt_neo"), mixed);
    exported(&model, &options(COMPRESSED, &out)).unwrap();
    let bytes = fs::read(out.join("model.safetensors")).unwrap();
    let read = SafeTensors::deserialize(&bytes).unwrap();
    let shape = |name: String| read.tensor(&name).map(|tensor| (tensor.dtype(), tensor.shape().to_vec())).ok();
    for (index, (layer, plan)) in model.layers.iter().zip(&model.plans).enumerate() {
        let stem = layer.name.strip_suffix(".weight").unwrap();
        let part = |suffix: &str| shape(format!("{stem}.{suffix}"));
        let (m, n, r) = (layer.rows, layer.cols, plan.rank);
        assert_eq!(part("weight").is_some(), plan.is_dense());
        match index % 9 {
            0 => {
                assert_eq!(part("U.quant"), Some((Dtype::I8, vec![m, r])));
                assert_eq!(part("U.scale"), Some((Dtype::F32, vec![m])));
                assert_eq!(part("Vh.quant"), Some((Dtype::I8, vec![r, n])));
                assert_eq!(part("Vh.scale"), Some((Dtype::F32, vec![r])));
            }
            1 => assert_eq!(part("base.scale"), Some((Dtype::F32, vec![m]))),
            2 => {
                assert_eq!(part("base.quant"), Some((Dtype::I8, vec![m, n])));
                assert_eq!(part("base.scale"), Some((Dtype::F32, vec![m, n.div_ceil(16)])));
            }
            3 => assert_eq!((part("U"), part("Vh").is_some()), (Some((Dtype::F16, vec![m, 3])), true)),
            4 => assert_eq!(part("Vh"), Some((Dtype::F32, vec![r, n]))),
            6 => {
                assert_eq!(part("base.quant"), Some((Dtype::U8, vec![m, n.div_ceil(2)])));
                assert_eq!(part("base.scale"), Some((Dtype::F16, vec![m, n.div_ceil(32)])));
            }
            7 => assert_eq!(part("base.scale"), Some((Dtype::F16, vec![m, n.div_ceil(9)]))),
            _ => {}
        }
    }
    let untouched = model.checkpoint.tensor("transformer.wte.weight").unwrap();
    assert_eq!(read.tensor("transformer.wte.weight").unwrap().data(), &untouched.data[..]);
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let metadata = header.metadata().as_ref().unwrap();
    assert_eq!(metadata["format"], "pt");
    assert_eq!(metadata["source_fingerprint"], model.checkpoint.fingerprint());
    assert_eq!(metadata["rankscope_policy"], model.policy.to_text());
    let metas: serde_json::Value = serde_json::from_str(&metadata["compression_meta"]).unwrap();
    let first = &model.layers[0];
    let meta = &metas[format!("{}.U", first.name.strip_suffix(".weight").unwrap())];
    let wanted = serde_json::json!({"scale": null, "zero_point": 0, "original_shape": [first.rows, first.max_rank() / 2], "original_dtype": "float32"});
    assert_eq!(*meta, wanted);
}

#[test]
fn a_classic_export_runs_as_it_was_coded() {
    let home = tempfile::tempdir().unwrap();
    for name in ["gpt_neo", "gpt2"] {
        let out = home.path().join(name);
        let model = opened(&golden(name), halved);
        let written = exported(&model, &options(CLASSIC, &out)).unwrap();
        let read = Checkpoint::open(&out).unwrap();
        let stem = model.layers[0].stem().unwrap();
        assert_eq!(read.tensor(&format!("{stem}.S.quant")).unwrap().shape, [model.plans[0].rank]);
        assert!(read.tensor(&format!("{stem}.U.scale")).is_none());
        assert!(written.layers.iter().all(|layer| layer.error > 0.0 && layer.error < 1.0));
        let (found, wanted) = (logits(&Model::load(&read).unwrap()), logits(&live(&model, Layout::Classic)));
        assert!(found.iter().zip(&wanted).all(|(a, b)| a.to_bits() == b.to_bits()), "{name}");
    }
}

#[test]
fn a_fused_tensor_that_was_compressed_as_a_whole_runs_and_is_rebuilt() {
    let home = tempfile::tempdir().unwrap();
    for name in ["gpt2", "gpt_neox", "phi3", "falcon_new_decoder"] {
        for (kind, plan) in [(COMPRESSED, mixed as fn(usize, &Layer) -> Plan), (CLASSIC, halved)] {
            let place = home.path().join(format!("{name}-{kind:?}"));
            let [alone, out, rebuilt] = ["alone", "out", "rebuilt"].map(|name| place.join(name));
            fs::create_dir_all(&alone).unwrap();
            // A file alone does not tell where the parts lie.
            let file = alone.join("model.safetensors");
            fs::copy(golden(name).join("model.safetensors"), &file).unwrap();
            let model = opened(&file, plan);
            let fused = |layers: &[Layer]| layers.iter().any(|layer| matches!(layer.kind, Kind::Qkv | Kind::GateUp));
            assert!(fused(&model.layers), "{name}");
            let written = exported(&model, &options(kind, &out)).unwrap();
            // Without the config it is read in one piece.
            let whole = stored_layers(&Checkpoint::open(&out).unwrap()).unwrap();
            fs::copy(golden(name).join("config.json"), out.join("config.json")).unwrap();

            let read = opened(&out, |_, _| Plan::dense());
            assert!(!fused(&read.layers) && read.layers.iter().any(|layer| layer.fixed && layer.is_part()), "{name}");
            let bytes = |layers: &[Layer]| layers.iter().map(|layer| layer.bytes).sum::<u64>();
            let others = model.checkpoint.total_bytes() - bytes(&model.layers);
            assert!(written.bytes - others - bytes(&read.layers) < read.layers.len() as u64, "a byte lost to rounding");
            exported(&read, &options(ExportKind::Dense, &rebuilt)).unwrap();
            let parts = stored_layers(&read.checkpoint).unwrap();
            for layer in read.layers.iter().filter(|layer| layer.fixed && layer.is_part()) {
                let place = layer.part.as_ref().unwrap();
                let numbers = |stored: &[StoredLayer], name: &str| {
                    stored.iter().find(|stored| stored.name == name).unwrap().weight.to_f32()
                };
                let (part, tensor) = (numbers(&parts, &layer.name), numbers(&whole, &place.tensor));
                for (index, row) in part.chunks_exact(layer.cols).enumerate() {
                    let wanted = &tensor[place.rows.stored(index) * layer.cols..][..layer.cols];
                    let far = row.iter().zip(wanted).any(|(a, b)| (a - b).abs() > 1e-6 * (1.0 + b.abs()));
                    assert!(!far, "{} {kind:?}: row {index}", layer.name);
                }
            }
            let [found, wanted] =
                [&out, &rebuilt].map(|path| logits(&Model::load(&Checkpoint::open(path).unwrap()).unwrap()));
            let differs = found.iter().zip(&wanted).find(|(a, b)| (**a - **b).abs() > 1e-4 * (1.0 + b.abs()));
            assert_eq!(differs, None, "{name} {kind:?}");
        }
    }
}

#[test]
fn a_dense_export_is_an_ordinary_checkpoint() {
    let home = tempfile::tempdir().unwrap();
    for name in ["gpt2", "gpt_neo_f16", "llama_bf16"] {
        let out = home.path().join(name);
        let model = opened(&golden(name), mixed);
        let written = exported(&model, &options(ExportKind::Dense, &out)).unwrap();
        let read = Checkpoint::open(&out).unwrap();
        assert!(read.policy_text().is_none() && written.layers.iter().all(|layer| layer.error > 0.0));
        let about = |checkpoint: &Checkpoint| -> Vec<_> {
            let tensors = checkpoint.tensors().iter();
            tensors.map(|tensor| (tensor.name.clone(), tensor.dtype, tensor.shape.clone())).collect()
        };
        assert_eq!(about(&read), about(&model.checkpoint));
        let (found, wanted) = (logits(&Model::load(&read).unwrap()), logits(&live(&model, Layout::Native)));
        let tolerance = if name == "gpt2" { 1e-4 } else { 0.1 };
        assert!(found.iter().zip(&wanted).all(|(a, b)| (a - b).abs() <= tolerance * (1.0 + b.abs())), "{name}");
    }
}

#[test]
fn the_same_input_gives_the_same_bytes_on_any_number_of_threads() {
    let home = tempfile::tempdir().unwrap();
    for (kind, plan) in
        [(COMPRESSED, mixed as fn(usize, &Layer) -> Plan), (CLASSIC, halved), (ExportKind::Dense, mixed)]
    {
        let written: Vec<_> = [1, 1, 2, 5]
            .into_iter()
            .enumerate()
            .map(|(run, threads)| {
                let out = home.path().join(format!("{kind:?} {run}"));
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let options = ExportOptions { shard_bytes: 20_000, ..options(kind, &out) };
                pool.install(|| exported(&opened(&golden("gpt_neo"), plan), &options)).unwrap();
                folder_bytes(&out)
            })
            .collect();
        assert!(written[0].len() > 4 && written[0].contains_key("model.safetensors.index.json"));
        assert!(written.iter().all(|files| *files == written[0]), "{kind:?}");
    }
}

#[test]
fn cached_factors_give_the_same_bytes_as_fresh_ones() {
    let home = tempfile::tempdir().unwrap();
    let model = opened(&golden("gpt2"), mixed);
    let written: Vec<_> = (0..3)
        .map(|run| {
            let cache = FactorCache::new((run > 0).then(|| home.path().join("cache")));
            let out = home.path().join(run.to_string());
            let options = options(COMPRESSED, &out);
            export(
                &model.checkpoint,
                &model.layers,
                &model.plans,
                &model.policy,
                (&cache, None),
                &options,
                &Control::new(),
            )
            .unwrap();
            folder_bytes(&out)
        })
        .collect();
    assert!(written[0] == written[1] && written[1] == written[2]);
    assert!(fs::read_dir(home.path().join("cache")).unwrap().count() > 3);
}

#[test]
fn a_compressed_folder_keeps_its_parts() {
    let home = tempfile::tempdir().unwrap();
    for (name, kind) in [("gpt2", COMPRESSED), ("gpt_neo", CLASSIC)] {
        let (first, second, third) = (home.path().join("1"), home.path().join("2"), home.path().join("3"));
        exported(&opened(&golden(name), halved), &options(kind, &first)).unwrap();
        let rest = |_: usize, layer: &Layer| {
            if layer.fixed { Plan::dense() } else { Plan { base: Base::Int8, ..Plan::dense() } }
        };
        let compressed = opened(&first, rest);
        assert!(compressed.layers.iter().any(|layer| layer.fixed));
        exported(&compressed, &options(COMPRESSED, &second)).unwrap();
        let (before, after) = (Checkpoint::open(&first).unwrap(), Checkpoint::open(&second).unwrap());
        for tensor in before.tensors().iter().filter(|tensor| tensor.dtype == Dtype::I8) {
            assert_eq!(after.tensor(&tensor.name).unwrap().data[..], tensor.data[..]);
        }
        let found = logits(&Model::load(&after).unwrap());
        assert_eq!(found, logits(&live(&compressed, Layout::Native)));

        exported(&opened(&first, |_, _| Plan::dense()), &options(ExportKind::Dense, &third)).unwrap();
        let dense = Checkpoint::open(&third).unwrap();
        let names = |checkpoint: &Checkpoint| -> Vec<_> {
            checkpoint.tensors().iter().map(|tensor| (tensor.name.clone(), tensor.shape.clone())).collect()
        };
        assert_eq!(names(&dense), names(&Checkpoint::open(&golden(name)).unwrap()));
        let (found, wanted) = (logits(&Model::load(&dense).unwrap()), logits(&Model::load(&before).unwrap()));
        assert!(found.iter().zip(&wanted).all(|(a, b)| (a - b).abs() <= 1e-4 * (1.0 + b.abs())), "{name}");

        let changed = Opened { plans: vec![Plan::low_rank(1); compressed.layers.len()], ..compressed };
        let refused = exported(&changed, &options(COMPRESSED, &home.path().join("4"))).unwrap_err();
        assert!(refused.to_string().contains("--original"), "{refused}");
        [first, second, third].iter().for_each(|folder| fs::remove_dir_all(folder).unwrap());
    }
}

#[test]
fn what_must_not_be_written_is_refused_and_nothing_stays() {
    let home = tempfile::tempdir().unwrap();
    let out = home.path().join("out");
    let model = opened(&golden("gpt_neo"), mixed);
    let refused = |kind, out: &Path| exported(&model, &options(kind, out)).unwrap_err().to_string();
    assert!(refused(CLASSIC, &out).contains("classic layout holds"));
    fs::create_dir(&out).unwrap();
    assert!(refused(COMPRESSED, &out).contains("--force"));
    assert!(refused(COMPRESSED, &golden("gpt_neo")).contains("input"));
    assert!(refused(COMPRESSED, &golden("gpt_neo").join("inside")).contains("input"));
    let too_high =
        Opened { plans: vec![Plan::low_rank(10_000); model.layers.len()], ..opened(&golden("gpt_neo"), mixed) };
    let error = exported(&too_high, &options(COMPRESSED, &home.path().join("b"))).unwrap_err().to_string();
    assert!(error.contains("largest possible"), "{error}");
    let control = Control::new();
    control.cancel();
    let cancelled = options(COMPRESSED, &home.path().join("c"));
    let cache = FactorCache::new(None);
    let ended =
        export(&model.checkpoint, &model.layers, &model.plans, &model.policy, (&cache, None), &cancelled, &control);
    assert!(ended.unwrap_err().to_string().contains("cancelled"));
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);
}

fn only_k(_: usize, layer: &Layer) -> Plan {
    if layer.kind == Kind::K { Plan::low_rank(5) } else { Plan::dense() }
}

/// The rows `rows` of a GPT-2 projection stored [in, out], as [out, in] f32.
fn rows_of(checkpoint: &Checkpoint, name: &str, rows: std::ops::Range<usize>) -> Vec<u32> {
    let tensor = checkpoint.tensor(name).unwrap();
    let (cols, total) = (tensor.shape[0], tensor.shape[1]);
    let w: Vec<u32> = bytemuck::pod_collect_to_vec(&tensor.data);
    rows.flat_map(|row| (0..cols).map(move |col| col * total + row)).map(|at| w[at]).collect()
}

#[test]
fn one_part_of_a_fused_tensor_is_compressed_and_the_others_stay_as_they_are() {
    let home = tempfile::tempdir().unwrap();
    for (name, kind, layout) in [
        ("gpt2", COMPRESSED, Layout::Native),
        ("gpt2_original", COMPRESSED, Layout::Native),
        ("gpt2", CLASSIC, Layout::Classic),
    ] {
        let model = opened(&golden(name), only_k);
        let glob = &model.policy.rules[0].matches;
        assert!(model.policy.rules.len() == 1 && glob.ends_with(".attn.c_attn.weight#k"), "{glob}");
        let out = home.path().join(format!("{name}-{layout:?}"));
        exported(&model, &options(kind, &out)).unwrap();
        let read = Checkpoint::open(&out).unwrap();
        let (found, wanted) = (logits(&Model::load(&read).unwrap()), logits(&live(&model, layout)));
        assert!(found.iter().zip(&wanted).all(|(a, b)| a.to_bits() == b.to_bits()), "{name}");
        let names = |layers: &[Layer]| layers.iter().map(|layer| layer.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&layers_of(&read)), names(&model.layers));
        let fused = &model.layers[0].tensor;
        let stem = fused.strip_suffix(".weight").unwrap();
        assert!(read.tensor(fused).is_none() && read.tensor(&format!("{stem}.bias")).is_some());
        assert!(read.tensor(&format!("{stem}#k.U.quant")).is_some());
        for (part, rows) in [("q", 0..32), ("v", 64..96)] {
            let alone = read.tensor(&format!("{stem}#{part}.weight")).unwrap();
            assert_eq!(alone.shape, [32, 32]);
            let bits: Vec<u32> = bytemuck::pod_collect_to_vec(&alone.data);
            assert_eq!(bits, rows_of(&model.checkpoint, fused, rows));
        }
    }
}

#[test]
fn a_dense_export_puts_the_parts_together_again() {
    let home = tempfile::tempdir().unwrap();
    let model = opened(&golden("gpt2"), only_k);
    let [small, direct, again] = ["small", "direct", "again"].map(|name| home.path().join(name));
    exported(&model, &options(COMPRESSED, &small)).unwrap();
    let written = exported(&model, &options(ExportKind::Dense, &direct)).unwrap();
    assert_eq!(written.bytes, written.original_bytes);
    assert!(written.layers.iter().all(|layer| layer.bytes == 32 * 32 * 4 && layer.error > 0.0));
    exported(&opened(&small, |_, _| Plan::dense()), &options(ExportKind::Dense, &again)).unwrap();
    let [direct, again] = [direct, again].map(|path| Checkpoint::open(&path).unwrap());
    assert_eq!(direct.tensors().len(), model.checkpoint.tensors().len());
    let fused = &model.layers[0].tensor;
    for tensor in model.checkpoint.tensors() {
        let (found, unpacked) = (direct.tensor(&tensor.name).unwrap(), again.tensor(&tensor.name).unwrap());
        assert_eq!((&found.shape, found.dtype), (&tensor.shape, tensor.dtype));
        assert_eq!(found.data[..], unpacked.data[..], "{}", tensor.name);
        assert_eq!(found.data[..] == tensor.data[..], !tensor.name.contains("c_attn.weight"));
    }
    for (rows, same) in [(0..32, true), (32..64, false), (64..96, true)] {
        let found = rows_of(&direct, fused, rows.clone()) == rows_of(&model.checkpoint, fused, rows);
        assert_eq!(found, same);
    }
}

#[test]
fn a_part_that_stayed_dense_is_compressed_later() {
    let home = tempfile::tempdir().unwrap();
    let [first, second] = ["first", "second"].map(|name| home.path().join(name));
    exported(&opened(&golden("gpt2"), only_k), &options(COMPRESSED, &first)).unwrap();
    let int8 = Plan { base: Base::Int8, ..Plan::dense() };
    let model = opened(&first, |_, layer| if layer.kind == Kind::V { int8 } else { Plan::dense() });
    exported(&model, &options(COMPRESSED, &second)).unwrap();
    let (found, wanted) = (Model::load(&Checkpoint::open(&second).unwrap()).unwrap(), live(&model, Layout::Native));
    assert!(logits(&found).iter().zip(&logits(&wanted)).all(|(a, b)| a.to_bits() == b.to_bits()));
    assert_eq!(found.weight_bytes(), wanted.weight_bytes());
}
