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
    let compressed = project.compressed.as_ref().unwrap().now().model;
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
    let record = super::sessions::kept(&mut bench);
    let SessionStep::Write(text) = &record.steps[record.steps.len() - 2] else { panic!("{:?}", record.steps) };
    assert!(text.compressed_as.iter().any(|segment| segment.from == first), "{:?}", text.compressed_as);
    assert_eq!(super::sessions::again(&record).unwrap().differences, []);
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

#[test]
fn a_branch_goes_on_from_exactly_the_ids_before_it_and_by_the_same_plans_is_the_same_text() {
    let mut bench = Bench::demo();
    let plans: Vec<_> = (0..36).map(|layer| (layer, Plan::low_rank(48))).collect();
    bench.workbench.set_plans("rank 48", &plans);
    bench.encoded();
    let sampling = Sampling { temperature: Some(1.0), seed: 11, ..Sampling::default() };
    bench.write(GenerateOptions { sampling, ..prompt(40) });
    let whole = bench.workbench.live().clone();
    let at = whole.original.tokens.len() / 2;
    bench.workbench.branch(at, &GenerateOptions { prompt: "not this one".into(), sampling, ..prompt(200) }).unwrap();
    bench.until("written", |bench| !bench.live().running);
    let branch = bench.workbench.live().clone();
    assert_eq!((branch.prompt.as_str(), branch.earlier.len()), (whole.prompt.as_str(), at));
    let before: Vec<u32> = ids(&whole.original)[..at].to_vec();
    assert_eq!(*branch.context, [&*whole.context, &before].concat());
    let rest = &ids(&whole.original)[at..];
    assert_eq!(ids(&branch.original)[..rest.len()], *rest, "the same draws from the same ids");
    assert_eq!(branch.stats[..rest.len()], whole.stats[at..], "and the same figures");

    // A branch of a branch, with other plans; both texts are kept.
    bench.workbench.set_plans("dense", &(0..36).map(|layer| (layer, Plan::dense())).collect::<Vec<_>>());
    bench.encoded();
    bench.workbench.branch(3, &GenerateOptions { sampling, ..prompt(8) }).unwrap();
    bench.until("written", |bench| !bench.live().running);
    let deeper = bench.workbench.live().clone();
    assert_eq!((deeper.earlier.len(), deeper.first_difference), (at + 3, None));
    assert_eq!(*deeper.context, [&*branch.context, &ids(&branch.original)[..3]].concat());
    assert_eq!((bench.workbench.texts().0.len(), bench.workbench.texts().1), (3, 2));
    bench.workbench.write_again(GenerateOptions { sampling, ..prompt(8) });
    bench.until("written", |bench| !bench.live().running);
    assert_eq!((bench.workbench.live().context.clone(), bench.workbench.texts().0.len()), (deeper.context, 3));
    assert_eq!(ids(&bench.workbench.live().original), ids(&deeper.original));
    assert!(bench.workbench.branch(99, &prompt(1)).unwrap_err().contains("no text to branch from"));
}

#[test]
fn kept_texts_stay_what_they_were_while_another_is_written() {
    let mut bench = Bench::demo();
    bench.write(prompt(12));
    let first = bench.workbench.live().clone();
    bench.workbench.set_plans("rank 4", &[(0, Plan::low_rank(4))]);
    bench.encoded();
    bench.workbench.generate(GenerateOptions { prompt: "Tom had a hat.".into(), ..prompt(300) });
    assert!(bench.workbench.show_text(0) && !bench.workbench.show_text(2));
    assert_eq!(ids(&bench.workbench.live().original), ids(&first.original));
    bench.until("written", |bench| bench.texts().0.iter().all(|text| !text.running));
    let (texts, place) = bench.workbench.texts();
    assert_eq!(
        (place, texts[1].prompt.as_str(), texts[1].stats.len()),
        (0, "Tom had a hat.", texts[1].original.tokens.len())
    );
    assert!(texts[0].plans[0].is_dense() && texts[1].plans[0] == Plan::low_rank(4));
    bench.workbench.show_text(1);
    bench.workbench.close_text();
    assert_eq!((bench.workbench.texts().0.len(), bench.workbench.live().prompt.clone()), (1, first.prompt));
}

#[test]
fn a_text_ends_where_it_loops_if_that_is_asked_for() {
    let mut bench = Bench::demo();
    let plans: Vec<_> = (0..36).map(|layer| (layer, Plan::low_rank(1))).collect();
    bench.workbench.set_plans("rank 1", &plans);
    bench.encoded();
    bench.write(prompt(120));
    let free = bench.workbench.live().compressed.clone();
    assert!(free.looping.is_some(), "rank 1 should ruin it: {}", text(&free));
    bench.workbench.set_stop_at_loops(true);
    bench.write(prompt(120));
    let live = bench.workbench.live();
    assert_eq!(live.compressed.ended, Some("loop"));
    assert!(live.compressed.tokens.len() < free.tokens.len() && live.compressed.looping.is_some());
    assert_eq!(ids(&live.compressed), ids(&free)[..live.compressed.tokens.len()]);
    assert!(live.original.ended != Some("loop") && live.stats.len() == live.original.tokens.len());
}

#[test]
fn pinned_policies_write_beside_the_plans_as_they_are_each_as_it_would_alone() {
    let mut bench = Bench::demo();
    let plans = |rank| (0..36).map(|layer| (layer, Plan::low_rank(rank))).collect::<Vec<_>>();
    let sampling = Sampling { temperature: Some(0.8), seed: 5, ..Sampling::default() };
    let options = || GenerateOptions { sampling, ..prompt(24) };
    let mut alone = Vec::new();
    for rank in [48, 24, 12] {
        bench.workbench.set_plans("rank", &plans(rank));
        if rank == 48 {
            assert!(bench.workbench.pin().unwrap_err().contains("still being encoded"));
        }
        bench.encoded();
        bench.write(options());
        alone.push(bench.workbench.live().clone());
        match rank {
            48 => assert_eq!(bench.workbench.pin(), Ok('A')),
            24 => assert_eq!(bench.workbench.pin(), Ok('B')),
            _ => assert!(bench.workbench.pin().unwrap_err().contains("A and B are pinned")),
        }
        assert!(bench.workbench.pin().is_err());
    }
    let together = bench.workbench.live();
    assert_eq!(together.rivals.iter().map(|rival| rival.policy).collect::<Vec<_>>(), [Some('A'), Some('B')]);
    for (written, single) in [&together.rivals[0], &together.rivals[1], together].into_iter().zip(&alone) {
        assert_eq!(ids(&written.original), ids(&single.original));
        assert_eq!(ids(&written.compressed), ids(&single.compressed));
        assert_eq!((&written.stats, &written.likeliest), (&single.stats, &single.likeliest));
        assert_eq!((written.first_difference, written.running), (single.first_difference, false));
        assert_eq!(written.plans, single.plans);
    }
    let record = super::sessions::kept(&mut bench);
    let written = |record: &SessionRecord| match record.steps.last() {
        Some(SessionStep::Write(text)) => text.pinned.clone(),
        other => panic!("{other:?}"),
    };
    let of_pins = written(&record);
    assert_eq!(
        of_pins.iter().map(|pin| (pin.name, pin.plans.len(), pin.plans[0].rank)).collect::<Vec<_>>(),
        [('A', 36, 48), ('B', 36, 24)]
    );
    for (pin, single) in of_pins.iter().zip(&alone) {
        assert_eq!(pin.ids, ids(&single.compressed));
    }
    let replayed = super::sessions::again(&record).unwrap();
    assert_eq!((replayed.differences, replayed.record.to_text()), (Vec::new(), record.to_text()));
    let mut other = record.clone();
    if let Some(SessionStep::Write(text)) = other.steps.last_mut() {
        text.pinned[1].ids[2] ^= 1;
    }
    let told = super::sessions::again(&other).unwrap().differences;
    assert!(told.len() == 1 && told[0].what.starts_with("token 3 of policy B's text is "), "{told:?}");

    let draft = bench.workbench.draft("", std::collections::BTreeMap::new());
    let mut next = Bench::new(Locations::default());
    next.workbench.apply_draft(draft.clone());
    next.open(Source::Demo, None, None);
    assert_eq!(
        next.workbench.pins().iter().map(|pin| (pin.name, pin.plans[0].rank)).collect::<Vec<_>>(),
        [('A', 48), ('B', 24)]
    );
    assert!(next.said("; pinned A and B again; unpin lets them go"));
    next.until("pinned", |bench| bench.pins().iter().all(Pin::is_ready));
    next.encoded();
    next.write(options());
    for (rival, single) in next.workbench.live().rivals.iter().zip(&alone) {
        assert_eq!(ids(&rival.compressed), ids(&single.compressed));
    }
    assert_eq!(next.workbench.live().rivals.len(), 2);
    assert_eq!(next.workbench.draft("", std::collections::BTreeMap::new()).pins, draft.pins);

    assert!(bench.workbench.unpin() && !bench.workbench.unpin());
    bench.write(options());
    assert!(bench.workbench.live().rivals.is_empty());
}
