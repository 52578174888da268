//! Policy files and drafts.

use std::fs;

use super::*;

#[test]
fn a_policy_is_loaded_saved_and_never_silently_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.json");
    let rule = |energy: &str| {
        format!("{{\"rankscope_policy\": 1, \"rules\": [{{\"match\": \"*.k_proj.weight\", \"rank\": {energy}}}]}}")
    };
    fs::write(&path, rule("{\"energy\": 0.5}")).unwrap();
    let mut bench = Bench::new(Locations::default());
    bench.open(Source::Demo, Some(path.clone()), None);
    bench.decomposed();
    bench.encoded();
    let key = bench.layer(Kind::K);
    let row = &bench.workbench.rows()[key];
    assert_eq!(row.plan, Plan::low_rank(row.spectrum.as_ref().unwrap().energy_ranks[0]));
    assert!(!bench.workbench.unsaved() && bench.workbench.history().done.is_empty());

    bench.workbench.set_plans("rank 5", &[(key, Plan::low_rank(5))]);
    assert!(bench.workbench.unsaved());
    assert_eq!(bench.workbench.would_lose(), ["unsaved policy (1 edit)"]);
    bench.workbench.save_policy(&path, false).unwrap();
    assert!(!bench.workbench.unsaved() && bench.workbench.would_lose().is_empty());

    let mut again = Bench::new(Locations::default());
    again.open(Source::Demo, Some(path.clone()), None);
    again.decomposed();
    let plans = |bench: &Bench| bench.workbench.rows().iter().map(|row| row.plan).collect::<Vec<_>>();
    assert_eq!(plans(&again), plans(&bench));

    fs::write(&path, rule("3")).unwrap();
    bench.workbench.set_plans("rank 6", &[(key, Plan::low_rank(6))]);
    assert!(bench.workbench.save_policy(&path, false).unwrap_err().contains("changed"));
    assert!(again.workbench.save_policy(&folder.path().join("p.json"), false).is_err());
    bench.workbench.save_policy(&path, true).unwrap();
    assert!(bench.workbench.save_policy(&folder.path().join("q.json"), false).is_ok());
    assert!(again.workbench.save_policy(&folder.path().join("q.json"), false).is_err());
}

#[test]
fn errors_of_a_policy_are_messages_and_the_model_opens_dense() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.json");
    fs::write(&path, "{\"rankscope_policy\": 1, \"rules\": [\n{\"match\": \"*\", \"rnak\": 3}]}").unwrap();
    let mut bench = Bench::new(Locations::default());
    bench.open(Source::Demo, Some(path), None);
    assert!(bench.said("line 2") && bench.said("rnak"));
    assert!(bench.workbench.rows().iter().all(|row| row.plan.is_dense()));
}

#[test]
fn a_draft_brings_the_plans_back_to_the_same_model_alone() {
    let mut bench = Bench::demo();
    bench.decomposed();
    let key = bench.layer(Kind::K);
    bench.workbench.set_plans("rank 7", &[(key, Plan::low_rank(7))]);
    let draft = bench.workbench.draft("a prompt", std::collections::BTreeMap::new());
    assert!(draft.unsaved);

    let mut again = Bench::new(Locations::default());
    again.workbench.apply_draft(draft.clone());
    again.open(Source::Demo, None, None);
    assert_eq!(again.workbench.rows()[key].plan, Plan::low_rank(7));
    assert!(again.workbench.unsaved());
    again.workbench.undo();
    assert!(again.workbench.rows()[key].plan.is_dense());

    let mut other = Bench::new(Locations::default());
    other.open(Source::Path(golden("llama")), None, None);
    other.workbench.apply_draft(draft.clone());
    assert!(other.workbench.rows().iter().all(|row| row.plan.is_dense()));

    // A policy file that was given wins over a draft that did not begin from it.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.json");
    fs::write(&path, "{\"rankscope_policy\": 1, \"rules\": [{\"match\": \"*.k_proj.weight\", \"rank\": 9}]}").unwrap();
    let mut given = Bench::new(Locations::default());
    given.open(Source::Demo, Some(path.clone()), None);
    given.workbench.apply_draft(draft);
    assert_eq!(given.workbench.rows()[key].plan, Plan::low_rank(9));
    assert!(given.said("left aside"));

    // One that did begin from it goes on.
    given.workbench.set_plans("rank 8", &[(key, Plan::low_rank(8))]);
    let draft = given.workbench.draft("", std::collections::BTreeMap::new());
    let mut on = Bench::new(Locations::default());
    on.open(Source::Demo, Some(path), None);
    on.workbench.apply_draft(draft);
    assert_eq!(on.workbench.rows()[key].plan, Plan::low_rank(8));
}

#[test]
fn a_draft_outlives_a_session_in_which_its_model_did_not_open() {
    let mut bench = Bench::demo();
    bench.workbench.set_plans("rank 7", &[(0, Plan::low_rank(7))]);
    let draft = bench.workbench.draft("one", std::collections::BTreeMap::new());
    let mut empty = Bench::new(Locations::default());
    empty.workbench.apply_draft(draft.clone());
    empty.open(Source::Path("no/such/model".into()), None, None);
    assert_eq!(empty.workbench.draft("one", std::collections::BTreeMap::new()), draft);
}
