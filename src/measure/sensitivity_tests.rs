use super::*;
use crate::checkpoint::Checkpoint;
use crate::compress::{Base, FactorCache};
use crate::measure::{CompareOptions, compare};

/// A model with what scanning it takes, and a plan for every layer.
struct Scene {
    checkpoint: Checkpoint,
    model: Model,
    cache: FactorCache,
    text: CompareOptions,
    plans: Vec<(usize, Plan)>,
    all: Vec<usize>,
}

impl Scene {
    fn new(name: &str) -> Self {
        let checkpoint = Checkpoint::open(format!("tests/data/golden/{name}").as_ref()).unwrap();
        let model = Model::load(&checkpoint).unwrap();
        let all: Vec<usize> = (0..model.layers().len()).collect();
        let plans = all.iter().map(|layer| (*layer, Plan { base: Base::Int4, ..Plan::dense() })).collect();
        let text = CompareOptions { ids: (0..90).map(|i| i * 7 % 29).collect(), bos: None, limit: None };
        Self { checkpoint, model, cache: FactorCache::new(None), text, plans, all }
    }

    fn options<'a>(&'a self, mode: Mode, folder: Option<&'a Path>) -> SensitivityOptions<'a> {
        let Self { checkpoint, model, cache, text, plans, all } = self;
        let meter = ModelMeter { checkpoint, model, cache, calibration: None, text, passes: None };
        SensitivityOptions { meter, mode, depth: Depth::Whole, plans, tried: all, prompt: &[1, 2, 3], folder }
    }

    /// What a scan finds, and its steps of progress.
    fn scanned(&self, depth: Depth, folder: Option<&Path>) -> (Vec<LayerDamage>, u64) {
        let (control, options) = (Control::new(), SensitivityOptions { depth, ..self.options(Mode::Only, folder) });
        let (found, notes) = sensitivity(&options, &self.model, &|_| {}, &control).unwrap();
        let (done, total) = control.progress();
        assert!(notes.is_empty() && done == total);
        (found, total)
    }
}

#[test]
fn alone_is_the_comparison_with_one_layer_changed_and_the_worst_comes_first() {
    let (scene, control) = (Scene::new("llama"), Control::new());
    let options = scene.options(Mode::Only, None);
    let (found, notes) = sensitivity(&options, &scene.model, &|_| {}, &control).unwrap();
    assert!(notes.is_empty() && found.len() == scene.all.len());
    assert!(found.is_sorted_by(|a, b| a.change.kld.0 >= b.change.kld.0));
    for damage in [found[0], found[found.len() - 1]] {
        let changed = options.meter.compressed(&[(damage.layer, damage.plan)], &control).unwrap();
        let whole = compare(&scene.model, &changed, &scene.text, &control).unwrap();
        assert_eq!((damage.change.kld.0, damage.change.mse), (whole.kld.mean, whole.mse.0));
        assert!(damage.kld_iso.unwrap() > 0.0 && 0.0 < damage.weight_error && damage.weight_error < 0.2);
        assert!(damage.looping.is_some() && damage.output_error > 0.0);
    }
    let (done, total) = control.progress();
    assert!(done > 0 && total > 0);
}

#[test]
fn restored_is_the_comparison_of_the_policy_without_that_layer() {
    let (scene, control) = (Scene::new("gpt_neo"), Control::new());
    let options = scene.options(Mode::Without, None);
    let base = options.meter.compressed(&scene.plans, &control).unwrap();
    let (found, _) = sensitivity(&options, &base, &|_| {}, &control).unwrap();
    assert!(found.is_sorted_by(|a, b| a.change.kld.0 <= b.change.kld.0));
    let damage = found[0];
    let rest: Vec<_> = scene.plans.iter().copied().filter(|(layer, _)| *layer != damage.layer).collect();
    let without = options.meter.compressed(&rest, &control).unwrap();
    let whole = compare(&scene.model, &without, &scene.text, &control).unwrap();
    assert_eq!((damage.change.kld.0, damage.change.mse), (whole.kld.mean, whole.mse.0));
    assert!(damage.change.output_error > 0.0 && (damage.kld_iso.unwrap() - damage.change.kld.0).abs() > 0.0);
}

#[test]
fn a_second_scan_reads_what_the_first_one_kept() {
    let (scene, place) = (Scene::new("gpt2"), tempfile::tempdir().unwrap());
    let options = scene.options(Mode::Only, Some(place.path()));
    let fresh = sensitivity(&options, &scene.model, &|_| {}, &Control::new()).unwrap().0;
    let control = Control::new();
    assert_eq!(sensitivity(&options, &scene.model, &|_| {}, &control).unwrap().0, fresh);
    assert_eq!(control.progress().1, 0);
    let entry = std::fs::read_dir(place.path()).unwrap().next().unwrap().unwrap().path();
    std::fs::write(entry, b"broken").unwrap();
    let (again, notes) = sensitivity(&options, &scene.model, &|_| {}, &control).unwrap();
    assert_eq!((again, notes.len()), (fresh, 1));
    assert!(control.progress().1 > 0);
}

#[test]
fn a_layer_that_does_far_more_than_noise_is_told_apart() {
    let (scene, control) = (Scene::new("gpt2"), Control::new());
    let mut damage = sensitivity(&scene.options(Mode::Only, None), &scene.model, &|_| {}, &control).unwrap().0[0];
    (damage.change.kld.0, damage.kld_iso) = (0.3, Some(0.1));
    let near = |found: Option<f64>, wanted: f64| (found.unwrap() - wanted).abs() < 1e-12;
    assert!(near(damage.over_noise(Mode::Only, 9.0), 3.0));
    (damage.change.kld.0, damage.kld_iso) = (0.1, Some(0.15));
    assert!(near(damage.over_noise(Mode::Without, 0.6), 10.0));
    for noise in [Some(0.0), None] {
        damage.kld_iso = noise;
        assert_eq!(damage.over_noise(Mode::Only, 9.0), None);
    }
}

#[test]
fn the_changes_alone_are_those_of_the_whole_scan_in_a_part_of_its_steps() {
    for name in ["gpt2", "llama"] {
        let scene = Scene::new(name);
        let (whole, steps) = scene.scanned(Depth::Whole, None);
        let (changes, fewer) = scene.scanned(Depth::Change, None);
        let alone: Vec<LayerDamage> =
            whole.iter().map(|damage| LayerDamage { kld_iso: None, looping: None, ..*damage }).collect();
        assert_eq!(changes, alone);
        assert!(whole.iter().all(|damage| damage.kld_iso.is_some() && damage.looping.is_some()));
        assert!(2 * fewer < steps, "{fewer} of {steps}");
    }
}

#[test]
fn what_one_depth_kept_serves_the_others() {
    let (scene, [one, other]) = (Scene::new("gpt_neo"), [(); 2].map(|()| tempfile::tempdir().unwrap()));
    let (whole, all) = scene.scanned(Depth::Whole, Some(one.path()));
    let (changes, some) = scene.scanned(Depth::Change, Some(other.path()));
    assert_eq!(scene.scanned(Depth::Change, Some(one.path())), (changes, 0));
    assert_eq!(scene.scanned(Depth::Whole, Some(other.path())), (whole.clone(), all - some));
    assert_eq!(scene.scanned(Depth::ChangesFirst, Some(other.path())), (whole, 0));
}

#[test]
fn changes_first_tells_every_change_before_any_noise() {
    let (scene, told) = (Scene::new("gpt2"), std::cell::RefCell::new(Vec::new()));
    let options = SensitivityOptions { depth: Depth::ChangesFirst, ..scene.options(Mode::Only, None) };
    let tell = |damage: &LayerDamage| told.borrow_mut().push((damage.layer, damage.kld_iso.is_some()));
    let (found, _) = sensitivity(&options, &scene.model, &tell, &Control::new()).unwrap();
    assert_eq!(found, scene.scanned(Depth::Whole, None).0);
    let each = |noise: bool| scene.all.iter().map(move |layer| (*layer, noise));
    assert_eq!(told.into_inner(), each(false).chain(each(true)).collect::<Vec<_>>());
}
