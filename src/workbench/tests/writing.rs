//! Runs of both models.

use super::*;

#[test]
fn dense_texts_are_equal_and_differ_by_nothing() {
    let mut bench = Bench::demo();
    bench.write(prompt(40));
    let live = bench.workbench.live();
    assert_eq!(live.error, None);
    assert!(!live.original.tokens.is_empty());
    assert_eq!(ids(&live.original), ids(&live.compressed));
    assert_eq!((live.first_difference, live.stats.len()), (None, live.original.tokens.len()));
    assert!(live.stats.iter().all(|stats| stats.kld == 0.0 && stats.mse == 0.0 && stats.top1));
    assert_eq!((live.means.kld, live.means.count), (0.0, live.stats.len()));
    assert_eq!(live.original.ended, live.compressed.ended);
    assert!(live.original.ended.is_some() && !text(&live.original).is_empty());
}

#[test]
fn the_comparison_is_on_the_originals_context() {
    use crate::checkpoint::Checkpoint;
    use crate::control::Control;
    use crate::measure::inspect_position;
    use crate::model::Model;

    let mut bench = Bench::demo();
    let plans: Vec<_> = (0..36).map(|layer| (layer, Plan::low_rank(24))).collect();
    bench.workbench.set_plans("rank 24", &plans);
    bench.encoded();
    let options =
        GenerateOptions { sampling: Sampling { temperature: Some(1.0), seed: 7, ..Sampling::default() }, ..prompt(50) };
    bench.write(options.clone());
    let live = bench.workbench.live().clone();
    assert_eq!(live.error, None);
    assert!(live.first_difference.is_some_and(|at| at + 1 < live.original.tokens.len()), "{:?}", live.first_difference);
    assert_eq!(live.stats.len(), live.original.tokens.len());

    // The same, all at once.
    let checkpoint = Checkpoint::embedded(DEMO).unwrap();
    let original = Model::load(&checkpoint).unwrap();
    let project = bench.workbench.project.as_ref().unwrap();
    let compressed = project.compressed.as_ref().unwrap().now().1;
    let prompt = checkpoint.tokenizer().unwrap().encode(&options.prompt).unwrap();
    let texts = [ids(&live.original), ids(&live.compressed)];
    let context: Vec<u32> = prompt.iter().chain(&texts[0]).copied().collect();
    let all = |model: &Model| model.forward_all(&context, &mut model.cache(), None, &Control::new()).unwrap();
    let (one, other) = (all(&original), all(&compressed));
    let vocabulary = original.architecture().vocabulary;
    for (index, (stats, id)) in live.stats.iter().zip(&texts[0]).enumerate() {
        let row = (prompt.len() - 1 + index) * vocabulary..(prompt.len() + index) * vocabulary;
        let known = inspect_position(&one[row.clone()], &other[row], Some(*id), 10);
        assert_eq!((*stats, live.likeliest[index].clone()), known, "position {index}");
        assert!(known.1.iter().all(|token| live.pieces.contains_key(&token.id)) && live.pieces.contains_key(id));
    }
    // And the free text is what that model writes alone.
    let mut sampler = crate::model::Sampler::new(options.sampling);
    let mut cache = compressed.cache();
    let mut feed = prompt.clone();
    for id in &texts[1] {
        let logits = compressed.forward(&feed, &mut cache, &Control::new()).unwrap();
        assert_eq!(sampler.next(&logits), *id);
        feed = vec![*id];
    }
}

#[test]
fn a_change_while_writing_reaches_the_stream() {
    let mut bench = Bench::demo();
    bench.decomposed();
    let mut options = prompt(usize::MAX);
    options.sampling = Sampling { temperature: Some(1.0), seed: 3, ..Sampling::default() };
    // Another prompt may end early: what matters is that the change comes while the text is written.
    for seed in 0..20 {
        options.sampling.seed = seed;
        bench.workbench.generate(options.clone());
        bench.until("begun", |bench| !bench.live().compressed.tokens.is_empty() || !bench.live().running);
        let plans: Vec<_> = (0..36).map(|layer| (layer, Plan::low_rank(1 + seed as usize))).collect();
        bench.workbench.set_plans("rank 1", &plans);
        bench.until("written", |bench| !bench.live().running);
        bench.encoded();
        assert_eq!(bench.workbench.live().error, None);
        if !bench.workbench.live().plan_changes.is_empty() {
            break;
        }
    }
    let live = bench.workbench.live();
    let first = *live.plan_changes.first().expect("no change came while a text was written");
    assert!(first >= 1 && first < live.compressed.tokens.len());
    assert_eq!(live.stats.len(), live.original.tokens.len());
    assert!(live.stats.last().unwrap().kld > 0.0);
}

#[test]
fn a_prompt_beyond_the_context_is_an_error_that_says_so() {
    let mut bench = Bench::demo();
    let context = bench.workbench.opened().unwrap().context.unwrap();
    bench.write(GenerateOptions { prompt: "once upon a time ".repeat(context), ..prompt(4) });
    assert!(bench.workbench.live().error.as_ref().unwrap().contains(&context.to_string()));
    assert!(bench.said("context"));
}

#[test]
fn a_stop_ends_the_run_and_a_new_run_takes_its_place() {
    let mut bench = Bench::demo();
    bench.workbench.generate(prompt(usize::MAX));
    bench.workbench.stop();
    bench.until("stopped", |bench| !bench.live().running);
    bench.workbench.generate(prompt(usize::MAX));
    bench.write(GenerateOptions { prompt: "Once".into(), ..prompt(2) });
    let live = bench.workbench.live();
    assert_eq!((live.prompt.as_str(), live.original.tokens.len(), live.error.clone()), ("Once", 2, None));
    bench.until("all ended", |bench| bench.jobs().iter().all(|job| job.state != JobState::Running));
}
