//! `--download` against a small hub that the test starts on this machine.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sha1::{Digest, Sha1};
use sha2::Sha256;

use super::support::{Place, stderr};

const REVISION: &str = "5d1f0c0ffee00000000000000000000000000000";
const MODEL: &str = "owner/a-model.v1";
const WEIGHTS: &str = "model.safetensors";

#[derive(Debug, Clone, PartialEq)]
struct Seen {
    method: String,
    path: String,
    host: String,
    range: Option<String>,
    token: Option<String>,
}

/// What the hub holds, and how it misbehaves.
#[derive(Debug, Default)]
struct Held {
    files: BTreeMap<String, Vec<u8>>,
    /// For every request.
    status: Option<(u16, &'static str)>,
    /// For every file, while the list is open.
    closed: bool,
    /// The next answer with weights ends after so many bytes, and the connection stays open or not.
    ends_after: Option<(usize, bool)>,
    /// Told beside the true length.
    longer: usize,
    /// Content that is not what was told.
    bent: bool,
    ignores_ranges: bool,
    seen: Vec<Seen>,
}

#[derive(Clone)]
struct Hub {
    port: u16,
    held: Arc<Mutex<Held>>,
}

impl Hub {
    fn new(files: impl IntoIterator<Item = (&'static str, Vec<u8>)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let files = files.into_iter().map(|(name, data)| (name.to_owned(), data)).collect();
        let held = Arc::new(Mutex::new(Held { files, ..Held::default() }));
        let hub = Self { port: listener.local_addr().unwrap().port(), held };
        let serving = hub.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let hub = serving.clone();
                std::thread::spawn(move || hub.serve(stream));
            }
        });
        hub
    }

    /// A folder of the golden data, and files that nobody needs.
    fn of_model(folder: &str) -> Self {
        let read = |name: &str| fs::read(golden(folder).join(name)).unwrap();
        let others =
            ["README.md", "pytorch_model.bin", "tf_model.h5", "onnx/model.onnx"].map(|name| (name, vec![1; 9]));
        Self::new([("config.json", read("config.json")), (WEIGHTS, read(WEIGHTS))].into_iter().chain(others))
    }

    fn set(&self, change: impl FnOnce(&mut Held)) {
        change(&mut self.held.lock().unwrap());
    }

    /// What was asked since the last time.
    fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.held.lock().unwrap().seen)
    }

    fn command(&self, place: &Place, args: &[&str]) -> Command {
        let mut command = place.command();
        command
            .args(args)
            .env("HF_ENDPOINT", format!("http://127.0.0.1:{}/", self.port))
            .env("HF_HOME", place.path("hf"));
        for name in ["HF_TOKEN", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "https_proxy", "HTTPS_PROXY"] {
            command.env_remove(name);
        }
        command
    }

    fn download(&self, place: &Place) -> Output {
        self.command(place, &["inspect", MODEL, "--download", "--json"]).output().unwrap()
    }

    /// The one line of a download that fails.
    fn refusal(&self, place: &Place) -> String {
        let output = self.download(place);
        let said = stderr(&output);
        assert!(output.status.code() == Some(1) && output.stdout.is_empty(), "{:?} {said}", output.status);
        assert!(!repository(place).join("snapshots").exists() && !repository(place).join("refs").exists());
        said
    }

    fn serve(&self, stream: TcpStream) -> Option<()> {
        let mut lines = BufReader::new(stream.try_clone().ok()?).lines();
        let first = lines.next()?.ok()?;
        let (method, path) = first.strip_suffix(" HTTP/1.1")?.split_once(' ')?;
        let mut headers = BTreeMap::new();
        for line in lines {
            let line = line.ok()?;
            let Some((name, value)) = line.split_once(": ") else { break };
            headers.insert(name.to_ascii_lowercase(), value.to_owned());
        }
        let header = |name: &str| headers.get(name).cloned();
        let (range, token, host) = (header("range"), header("authorization"), header("host")?);
        let seen = Seen { method: method.into(), path: path.into(), host, range, token };
        self.held.lock().unwrap().seen.push(seen.clone());
        self.answer(stream, &seen)
    }

    fn answer(&self, stream: TcpStream, seen: &Seen) -> Option<()> {
        let mut held = self.held.lock().unwrap();
        if let Some((status, code)) = held.status {
            return reply(stream, status, &[("X-Error-Code", code.into())], b"no", 2);
        }
        if seen.path == format!("/api/models/{MODEL}/revision/main") {
            let siblings: Vec<_> = held.files.keys().map(|name| serde_json::json!({ "rfilename": name })).collect();
            let list = serde_json::json!({ "id": MODEL, "sha": REVISION, "siblings": siblings }).to_string();
            return reply(stream, 200, &[], list.as_bytes(), list.len());
        }
        let resolved = seen.path.strip_prefix(&format!("/{MODEL}/resolve/{REVISION}/"));
        let Some(name) = resolved.or_else(|| seen.path.strip_prefix("/stored/")).map(str::to_owned) else {
            return reply(stream, 404, &[], b"", 0);
        };
        if held.closed {
            return reply(stream, 401, &[("X-Error-Code", "GatedRepo".into())], b"", 0);
        }
        let Some(data) = held.files.get(&name).cloned() else { return reply(stream, 404, &[], b"", 0) };
        let told = data.len() + held.longer;
        let large = name.ends_with(".safetensors");
        if large && resolved.is_some() {
            // As the hub does with what it stores elsewhere; the other name stands for another host.
            let location = format!("http://localhost:{}/stored/{name}", self.port);
            let tag = format!("\"{}\"", hex(&Sha256::digest(&data)));
            let about = [("X-Linked-Etag", tag), ("X-Linked-Size", told.to_string()), ("Location", location)];
            return reply(stream, 302, &about, b"moved", 5);
        }
        let tag = format!(
            "W/\"{}\"",
            hex(&Sha1::new().chain_update(format!("blob {}\0", data.len())).chain_update(&data).finalize())
        );
        if seen.method == "HEAD" {
            return reply(stream, 200, &[("ETag", tag)], b"", told);
        }
        let range = seen.range.as_ref().filter(|_| !held.ignores_ranges);
        let from: usize = range.map_or(0, |range| range["bytes=".len()..range.len() - 1].parse().unwrap());
        let mut data = data[from.min(told)..].to_vec();
        if held.bent {
            data.iter_mut().for_each(|byte| *byte ^= 1);
        }
        let ends = if large { held.ends_after.take() } else { None };
        drop(held);
        let told = told - from;
        let headers = [("ETag", tag), ("Content-Range", format!("bytes {from}-{}/{}", from + told - 1, from + told))];
        let (status, headers) = if range.is_some() { (206, &headers[..]) } else { (200, &headers[..1]) };
        let Some((bytes, open)) = ends else { return reply(stream, status, headers, &data, told) };
        reply(stream.try_clone().ok()?, status, headers, &data[..bytes.min(data.len())], told)?;
        // Held open until the other side has had enough.
        if open {
            let _ = (&stream).read(&mut [0]);
        }
        Some(())
    }
}

fn reply(mut stream: TcpStream, status: u16, headers: &[(&str, String)], body: &[u8], told: usize) -> Option<()> {
    write!(stream, "HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {told}\r\n").ok()?;
    headers.iter().try_for_each(|(name, value)| write!(stream, "{name}: {value}\r\n")).ok()?;
    stream.write_all(b"\r\n").ok()?;
    stream.write_all(body).ok()?;
    stream.flush().ok()
}

fn hex(digest: &[u8]) -> String {
    digest.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}

fn golden(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/golden").join(folder)
}

fn repository(place: &Place) -> PathBuf {
    place.path("hf/hub/models--owner--a-model.v1")
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn assert_whole(place: &Place, folder: &str) {
    let snapshot = repository(place).join("snapshots").join(REVISION);
    let wanted = names(&snapshot);
    assert!(wanted.contains(&"config.json".to_owned()), "{wanted:?}");
    for name in &wanted {
        assert_eq!(fs::read(snapshot.join(name)).unwrap(), fs::read(golden(folder).join(name)).unwrap(), "{name}");
    }
    let blobs = names(&repository(place).join("blobs"));
    assert!(blobs.len() == wanted.len() && blobs.iter().all(|blob| !blob.contains('.')), "{blobs:?}");
}

#[test]
fn a_model_is_fetched_into_the_cache_as_others_lay_it_out() {
    let (place, hub) = (Place::new(), Hub::of_model("gpt_neo"));
    let output =
        hub.command(&place, &["inspect", MODEL, "--download", "--json"]).env("HF_TOKEN", "hf_secret").output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&document["model"], &document["architecture"]), (&MODEL.into(), &"gpt_neo".into()));
    assert_whole(&place, "gpt_neo");
    let snapshot = repository(&place).join("snapshots").join(REVISION);
    assert_eq!(names(&snapshot), ["config.json", WEIGHTS]);
    assert_eq!(fs::read_to_string(repository(&place).join("refs/main")).unwrap(), REVISION);
    #[cfg(unix)]
    assert!(fs::read_link(snapshot.join(WEIGHTS)).unwrap().starts_with("../../blobs"));
    // The token goes to the hub, and nowhere else.
    let seen = hub.seen();
    assert!(seen.iter().any(|seen| seen.path.starts_with("/stored/")));
    for seen in &seen {
        let home = seen.host.starts_with("127.0.0.1");
        assert_eq!(seen.token.as_deref(), home.then_some("Bearer hf_secret"), "{seen:?}");
    }
    // What is there is not fetched again, and serves without a hub.
    assert!(hub.download(&place).status.success());
    assert_eq!(
        hub.seen().iter().map(|seen| seen.path.as_str()).collect::<Vec<_>>(),
        [format!("/api/models/{MODEL}/revision/main")]
    );
    assert!(hub.command(&place, &["inspect", MODEL]).output().unwrap().status.success());
    hub.set(|held| held.status = Some((503, "")));
    let output = hub.download(&place);
    assert!(
        output.status.success() && stderr(&output).contains("warning: ") && stderr(&output).contains("answers 503")
    );
}

#[test]
fn weights_in_several_files_come_by_their_index() {
    let folder = golden("llama_sharded");
    let files = names(&folder).into_iter().filter(|name| name != "golden.safetensors");
    let held = files.map(|name| (&*name.clone().leak(), fs::read(folder.join(&name)).unwrap()));
    let (place, hub) = (Place::new(), Hub::new(held.collect::<Vec<_>>()));
    assert!(hub.download(&place).status.success());
    assert_whole(&place, "llama_sharded");
}

#[test]
fn a_transfer_that_breaks_off_goes_on_from_there() {
    let (place, hub) = (Place::new(), Hub::of_model("gpt_neo"));
    hub.set(|held| held.ends_after = Some((100_000, false)));
    let output = hub.download(&place);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_whole(&place, "gpt_neo");
    let ranges: Vec<Option<String>> =
        hub.seen().into_iter().filter(|seen| seen.path.starts_with("/stored/")).map(|seen| seen.range).collect();
    assert_eq!(ranges, [None, Some("bytes=100000-".to_owned())]);

    // A hub that knows no ranges sends all of it again.
    let place = Place::new();
    hub.set(|held| (held.ends_after, held.ignores_ranges) = (Some((100_000, false)), true));
    assert!(hub.download(&place).status.success());
    assert_whole(&place, "gpt_neo");
}

#[cfg(unix)]
#[test]
fn an_interrupt_leaves_what_the_next_run_goes_on_from() {
    let (place, hub) = (Place::new(), Hub::of_model("gpt_neo"));
    hub.set(|held| held.ends_after = Some((100_000, true)));
    let mut command = hub.command(&place, &["inspect", MODEL, "--download", "--json"]);
    let child = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
    let part = || {
        let blobs = repository(&place).join("blobs");
        let part = names(&blobs).into_iter().find(|name| name.ends_with(".incomplete"))?;
        Some(fs::metadata(blobs.join(part)).ok()?.len())
    };
    while part() != Some(100_000) {
        std::thread::sleep(Duration::from_millis(10));
    }
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(130), "interrupted\n"));
    assert_eq!(part(), Some(100_000));
    assert!(!repository(&place).join("snapshots").exists());
    hub.seen();
    assert!(hub.download(&place).status.success());
    assert_whole(&place, "gpt_neo");
    assert!(hub.seen().iter().any(|seen| seen.range.as_deref() == Some("bytes=100000-")));
}

#[test]
fn what_cannot_be_had_is_told_in_a_line() {
    let (place, hub) = (Place::new(), Hub::of_model("gpt_neo"));
    hub.set(|held| held.status = Some((404, "RepoNotFound")));
    assert!(hub.refusal(&place).contains(&format!("has no model {MODEL}; check the spelling")));
    hub.set(|held| held.status = Some((401, "RepoNotFound")));
    assert!(hub.refusal(&place).contains("set HF_TOKEN to a token"));
    hub.set(|held| (held.status, held.closed) = (None, true));
    let said = hub.refusal(&place);
    assert!(said.contains(&format!("accept its terms at http://127.0.0.1:{}/{MODEL}", hub.port)), "{said}");
    hub.set(|held| held.status = Some((500, "")));
    assert!(hub.refusal(&place).contains("cannot be reached: it answers 500"));
    let mut nowhere = hub.command(&place, &["inspect", MODEL, "--download"]);
    let output = nowhere.env("HF_ENDPOINT", "http://127.0.0.1:1").output().unwrap();
    assert!(output.status.code() == Some(1) && stderr(&output).contains("http://127.0.0.1:1 cannot be reached"));

    let pickle = Hub::new([("config.json", b"{}".to_vec()), ("pytorch_model.bin", vec![0; 8])]);
    let said = pickle.refusal(&place);
    assert!(said.contains("only pytorch_model.bin (a pickle)") && said.contains("convert"), "{said}");
    assert!(pickle.seen().len() == 1 && said.lines().count() == 1);
}

#[test]
fn what_is_not_as_announced_is_refused() {
    let (place, hub) = (Place::new(), Hub::of_model("gpt_neo"));
    hub.set(|held| held.longer = 10);
    let said = hub.refusal(&place);
    assert!(said.contains(" was not fetched: ") && said.contains("are kept: run it again to go on"), "{said}");

    let (place, hub) = (Place::new(), Hub::of_model("gpt_neo"));
    hub.set(|held| held.bent = true);
    let said = hub.refusal(&place);
    assert!(said.contains("config.json was not fetched: its digest is not the one"), "{said}");
    assert!(names(&repository(&place).join("blobs")).is_empty());

    let index = br#"{"weight_map":{"a":"../../../x.safetensors"}}"#.to_vec();
    let hostile = Hub::new([
        ("config.json", b"{}".to_vec()),
        ("model.safetensors.index.json", index),
        ("../../../x.safetensors", vec![0]),
    ]);
    let place = Place::new();
    let said = hostile.refusal(&place);
    assert!(said.contains("a shard must be a file in this folder"), "{said}");
    assert!(!place.path("x.safetensors").exists() && !place.path("hf/x.safetensors").exists());
}
