//! Exports that are disturbed: killed at any moment, with no room, where nothing may be written, several to one place. Either the
//! whole result is there or nothing with that name is; the input stays as it was; the next run works.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rankscope::checkpoint::{Checkpoint, Dtype, TensorSpec, write_safetensors};

use super::support::{Place, stderr};

/// Exports killed before their end.
const KILLS: usize = 50;
/// Most exports begun for that, however fast the machine is.
const MOST: usize = 150;
const POLICIES: [&str; 2] = [
    r#"{"rankscope_policy": 1, "rules": [{"match": "*.1?.*", "base": "int8"}, {"match": "small*", "rank": 5}]}"#,
    r#"{"rankscope_policy": 1, "rules": [{"match": "*.2.*", "base": "int8"}]}"#,
];

/// The files of a folder by name, with digests of what they hold.
type Files = BTreeMap<String, blake3::Hash>;

/// A model, and what an undisturbed export makes of it.
struct Work {
    place: Place,
    model: Files,
    policies: [String; 2],
    /// By policy.
    whole: [Files; 2],
    took: Duration,
    bytes: u64,
}

impl Work {
    fn new() -> Self {
        let place = Place::new();
        write_model(&place.path("model"));
        fs::create_dir(place.path("room")).unwrap();
        let policies = [place.file("0.json", POLICIES[0]), place.file("1.json", POLICIES[1])];
        let model = files(&place.path("model")).unwrap();
        let (took, bytes) = (Duration::ZERO, 0);
        let mut work = Self { place, model, policies, whole: Default::default(), took, bytes };
        for policy in 0..POLICIES.len() {
            // The first run fills the cache of decompositions.
            work.done(policy, true);
            let began = Instant::now();
            work.done(policy, true);
            work.took = began.elapsed();
            work.whole[policy] = files(&work.out()).unwrap();
            Checkpoint::open(&work.out()).unwrap();
        }
        assert_ne!(work.whole[0], work.whole[1]);
        work.bytes = fs::read_dir(work.out()).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum();
        work.clear();
        work
    }

    fn out(&self) -> PathBuf {
        self.place.path("room/out")
    }

    /// What lies where the export goes.
    fn entries(&self) -> Vec<String> {
        names(&self.place.path("room"))
    }

    fn clear(&self) {
        fs::remove_dir_all(self.place.path("room")).unwrap();
        fs::create_dir(self.place.path("room")).unwrap();
    }

    fn command(&self, policy: usize, force: bool) -> Command {
        let mut command = self.place.command();
        command.arg("compress").arg(self.place.path("model")).args(["--policy", &self.policies[policy]]);
        command.arg("--out").arg(self.out()).args(["--shard-size", "4MB", "--json"]);
        command.args(force.then_some("--force")).stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    fn done(&self, policy: usize, force: bool) {
        let output = self.command(policy, force).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
    }

    /// A run after whatever was done works, and leaves nothing else behind.
    fn runs_again(&self) {
        self.done(0, true);
        assert_eq!(files(&self.out()).as_ref(), Some(&self.whole[0]));
        assert_eq!(self.entries(), ["out"]);
        self.clear();
    }

    /// Waits for a moment that `draw` chooses: a time, a number of bytes, or the end, when all files are there.
    fn wait(&self, child: &mut Child, draw: &mut Draw) {
        let (kind, share) = (draw.below(3), draw.share());
        let (began, bytes) = (Instant::now(), (share * self.bytes as f64) as u64);
        while child.try_wait().unwrap().is_none() {
            let here = match kind {
                0 => began.elapsed() >= self.took.mul_f64(share),
                1 => self.written().is_some_and(|(_, written)| written >= bytes),
                _ => self.written().is_some_and(|(names, _)| names.iter().any(|name| name == "policy.json")),
            };
            if here {
                break;
            }
            std::thread::yield_now();
        }
        if kind == 2 {
            std::thread::sleep(Duration::from_millis(4).mul_f64(share));
        }
    }

    /// Names and bytes of the temporary under way.
    fn written(&self) -> Option<(Vec<String>, u64)> {
        let newest = self.entries().into_iter().filter(|name| name.starts_with('.'));
        let sizes = newest.map(|name| {
            let folder = self.place.path("room").join(name);
            let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
            let bytes = entries.filter_map(|entry| entry.metadata().ok()).map(|about| about.len()).sum();
            (names(&folder), bytes)
        });
        sizes.max_by_key(|(_, bytes)| *bytes)
    }
}

/// Random numbers (splitmix64).
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn share(&mut self) -> f64 {
        self.next() as f64 / u64::MAX as f64
    }
}

/// Weights of some megabytes.
fn write_model(folder: &Path) {
    let mut draw = Draw(7);
    let mut tensors = Vec::new();
    for block in 0..20 {
        tensors.push((format!("block.{block}.weight"), vec![448, 512]));
    }
    tensors.push(("small.weight".to_owned(), vec![48, 32]));
    let made: Vec<(TensorSpec, Vec<u8>)> = tensors
        .into_iter()
        .map(|(name, shape)| {
            let values = (0..shape.iter().product()).flat_map(|_| (draw.share() as f32 - 0.5).to_le_bytes());
            let data = values.collect();
            (TensorSpec { name, dtype: Dtype::F32, shape }, data)
        })
        .collect();
    let tensors: Vec<(TensorSpec, &[u8])> = made.iter().map(|(spec, data)| (spec.clone(), &data[..])).collect();
    fs::create_dir(folder).unwrap();
    fs::write(folder.join("config.json"), "{}").unwrap();
    let mut file = fs::File::create(folder.join("model.safetensors")).unwrap();
    write_safetensors(&mut file, &tensors, &BTreeMap::new()).unwrap();
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

fn files(folder: &Path) -> Option<Files> {
    let digest = |name: String| {
        let digest = blake3::hash(&fs::read(folder.join(&name)).unwrap());
        (name, digest)
    };
    folder.exists().then(|| names(folder).into_iter().map(digest).collect())
}

#[cfg(unix)]
#[test]
fn killed_at_any_moment_an_export_is_whole_or_not_there() {
    let work = Work::new();
    let mut draw = Draw(1);
    let (mut killed, mut rounds) = (0, 0..MOST);
    while let Some(round) = rounds.next().filter(|_| killed < KILLS) {
        // Every other run replaces a folder that is there.
        let force = round % 2 == 1;
        if force && !work.out().exists() {
            work.done(1, false);
        }
        let mut child = work.command(0, force).spawn().unwrap();
        work.wait(&mut child, &mut draw);
        let _ = child.kill();
        killed += usize::from(child.wait().unwrap().code().is_none());
        let found = files(&work.out());
        assert!(found.is_none() || found.as_ref().is_some_and(|found| work.whole.contains(found)), "{round}");
        assert!(!force || found.is_some(), "{round}: what was there is gone");
        assert_eq!(files(&work.place.path("model")).as_ref(), Some(&work.model), "{round}");
        // Most runs begin with what those before left behind.
        if round % 10 == 9 {
            work.runs_again();
        } else if !force {
            let _ = fs::remove_dir_all(work.out());
        }
    }
    work.runs_again();
    eprintln!("{killed} exports killed before their end, of {} begun", rounds.start);
}

#[test]
fn of_several_exports_to_one_place_one_is_there_whole() {
    let work = Work::new();
    let run = |force: bool| -> Vec<(usize, Output)> {
        let children: Vec<(usize, Child)> =
            [0, 1, 0, 1].map(|policy| (policy, work.command(policy, force).spawn().unwrap())).into();
        children.into_iter().map(|(policy, child)| (policy, child.wait_with_output().unwrap())).collect()
    };
    for force in [false, true] {
        let ended = run(force);
        let winners: Vec<usize> = ended.iter().filter(|(_, o)| o.status.success()).map(|(policy, _)| *policy).collect();
        let said: Vec<String> = ended.iter().map(|(_, output)| stderr(output)).collect();
        assert_eq!(winners.len(), if force { 4 } else { 1 }, "{said:?}");
        let found = files(&work.out()).unwrap();
        assert!(winners.iter().any(|policy| work.whole[*policy] == found));
        for (_, output) in ended.iter().filter(|(_, output)| !output.status.success()) {
            assert!(output.status.code() == Some(1) && stderr(output).contains("exists; nothing is written over"));
        }
        assert_eq!(work.entries(), ["out"]);
    }
    work.runs_again();
}

/// The command as the shell runs it after `before`.
#[cfg(unix)]
fn after(before: &str, command: &Command) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("{before} exec \"$0\" \"$@\"")]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell
}

#[cfg(unix)]
#[test]
fn an_export_that_does_not_fit_leaves_nothing() {
    let work = Work::new();
    work.done(1, false);
    // Units of 512 or 1024 bytes: in the middle of the first shard.
    let output = after("ulimit -f 2000;", &work.command(0, true)).output().unwrap();
    let said = stderr(&output);
    assert!(output.status.code() == Some(1) && said.contains("error: cannot write"), "{:?} {said}", output.status);
    assert_eq!((work.entries(), files(&work.out()).as_ref()), (vec!["out".to_owned()], Some(&work.whole[1])));
    work.runs_again();

    // A disk of its own that is full, where the system lets us have one.
    let room = work.place.path("room").display().to_string();
    let disk = format!("mount -t tmpfs -o size=6m none {room} &&");
    let inside = format!("{disk} (\"$0\" \"$@\"; echo \"$? $(ls -A {room})\" >&2); exit 0;");
    let shell = after(&inside, &work.command(0, false));
    let mut unshared = Command::new("unshare");
    unshared.args(["--user", "--map-root-user", "--mount"]).arg(shell.get_program()).args(shell.get_args());
    let output = match unshared.envs(shell.get_envs().filter_map(|(n, v)| Some((n, v?)))).output() {
        Ok(output) if output.status.success() => output,
        refused => return eprintln!("no disk of its own: {refused:?}"),
    };
    let said = stderr(&output);
    assert!(said.contains("No space left on device") && said.ends_with("\n1 \n"), "{said}");
}

#[cfg(unix)]
#[test]
fn where_nothing_may_be_written_nothing_is() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    let work = Work::new();
    let room = work.place.path("room");
    let allow = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    allow(&room, 0o555);
    let mut command = work.command(0, false);
    if fs::write(room.join("probe"), "").is_ok() {
        // Nothing is closed to root: somebody else runs a copy that they can reach.
        fs::remove_file(room.join("probe")).unwrap();
        let program = work.place.path("program");
        fs::copy(command.get_program(), &program).unwrap();
        allow(&work.place.path(""), 0o755);
        let mut other = Command::new(&program);
        other.args(command.get_args()).envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        other.uid(65534).gid(65534);
        command = other;
    }
    let output = command.output().unwrap();
    let said = stderr(&output);
    assert!(output.status.code() == Some(1) && said.contains("Permission denied"), "{:?} {said}", output.status);
    allow(&room, 0o755);
    assert_eq!((work.entries(), files(&work.place.path("model"))), (vec![], Some(work.model.clone())));
    work.runs_again();
}

#[cfg(unix)]
#[test]
fn no_link_leads_writing_out_of_the_folder() {
    let work = Work::new();
    let victim = work.place.file("victim", "precious");
    work.done(1, false);
    for name in ["policy.json", "model-00001-of-00003.safetensors", "config.json"] {
        let _ = fs::remove_file(work.out().join(name));
        std::os::unix::fs::symlink(&victim, work.out().join(name)).unwrap();
    }
    std::os::unix::fs::symlink(work.place.path("model"), work.place.path("room/.out.part-linked")).unwrap();
    work.done(0, true);
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    assert_eq!(files(&work.place.path("model")), Some(work.model.clone()));
    assert_eq!(files(&work.out()).as_ref(), Some(&work.whole[0]));
    assert!(fs::read_dir(work.out()).unwrap().all(|entry| !entry.unwrap().file_type().unwrap().is_symlink()));
}
