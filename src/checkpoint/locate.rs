//! From what a person names to a place on disk.

use std::path::{Path, PathBuf};

use super::file::{is_there, plain_name, read_small};
use super::folder::names;
use super::index::is_plain;
use super::{CheckpointError, nearest};

/// What `MODEL` names on disk: an existing path, else a repository name (`owner/name`) found in the Hugging Face cache
/// `hub_cache` (its `models--owner--name/refs/main` and `snapshots/`).
///
/// # Errors
/// Neither: says both places that were looked at and, for a near miss, the nearest name in the folder.
pub fn locate(model: &str, hub_cache: Option<&Path>) -> Result<PathBuf, CheckpointError> {
    let path = PathBuf::from(model);
    if is_there(&path) {
        return Ok(path);
    }
    let cached = hub_cache.zip(folder_of(model));
    if let Some(repository) = cached.map(|(cache, folder)| cache.join(folder))
        && repository.is_dir()
    {
        return snapshot(&repository).map_err(|reason| CheckpointError::invalid(model, reason));
    }
    let looked = match hub_cache {
        Some(cache) => format!("no such file or folder, and no such model in {}", super::error::shown(cache)),
        None => "no such file or folder".to_owned(),
    };
    let advice = match suggestion(model, &path, hub_cache) {
        Some(name) => format!("did you mean {}?", super::escaped(&name, 200)),
        None => "check the spelling, or give --download with the name of a repository (owner/name)".to_owned(),
    };
    Err(CheckpointError::invalid(model, format!("{looked}; {advice}")))
}

/// The cache's folder of a repository, or `None` where `model` is no repository's name.
pub(super) fn folder_of(model: &str) -> Option<String> {
    let parts: Vec<&str> = model.split('/').collect();
    let fits =
        |part: &&str| is_plain(part) && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    (parts.len() <= 2 && parts.iter().all(fits)).then(|| format!("models--{}", parts.join("--")))
}

/// The snapshot that `refs/main` names, or the only one; the error is a reason without the model's name.
fn snapshot(repository: &Path) -> Result<PathBuf, String> {
    let snapshots = repository.join("snapshots");
    let main = read_small(&repository.join("refs/main")).ok().and_then(|text| String::from_utf8(text).ok());
    if let Some(revision) = main.as_deref().map(str::trim)
        && is_plain(revision)
        && snapshots.join(revision).is_dir()
    {
        return Ok(snapshots.join(revision));
    }
    let place = super::error::shown(&snapshots);
    match &names(&snapshots)[..] {
        [only] => Ok(snapshots.join(only)),
        [] => Err(format!("the cache holds no snapshot of this model in {place}; download it again")),
        _ => Err(format!("the cache's refs/main names no snapshot in {place}, and there are several; give one's path")),
    }
}

/// The nearest name among what lies beside the missing path and what the cache holds.
fn suggestion(model: &str, path: &Path, hub_cache: Option<&Path>) -> Option<String> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty());
    let beside: Vec<String> =
        names(folder.unwrap_or(Path::new("."))).into_iter().filter(|n| !n.starts_with('.')).collect();
    if let Some(near) = nearest(&plain_name(path), beside.iter().map(String::as_str)) {
        return Some(folder.map_or(near.to_owned(), |f| f.join(near).to_string_lossy().into_owned()));
    }
    let repositories: Vec<String> = hub_cache
        .map(names)
        .unwrap_or_default()
        .iter()
        .filter_map(|name| Some(name.strip_prefix("models--")?.replace("--", "/")))
        .collect();
    nearest(model, repositories.iter().map(String::as_str)).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A cache with two snapshots of one repository, the second of which is main's.
    fn cache() -> tempfile::TempDir {
        let cache = tempfile::tempdir().unwrap();
        let repository = cache.path().join("models--EleutherAI--gpt-neo-1.3B");
        for revision in ["aaa", "bbb"] {
            fs::create_dir_all(repository.join("snapshots").join(revision)).unwrap();
        }
        fs::create_dir(repository.join("refs")).unwrap();
        fs::write(repository.join("refs/main"), "bbb\n").unwrap();
        cache
    }

    #[test]
    fn a_path_comes_first_then_the_cache() {
        let cache = cache();
        let here = cache.path().to_string_lossy();
        assert_eq!(locate(&here, None).unwrap(), cache.path());
        let found = locate("EleutherAI/gpt-neo-1.3B", Some(cache.path())).unwrap();
        assert!(found.ends_with("snapshots/bbb"));
        fs::write(
            found.join("model.safetensors"),
            include_bytes!("../../tests/data/bad_files/ok_base/model.safetensors"),
        )
        .unwrap();
        assert_eq!(super::super::Checkpoint::open(&found).unwrap().label(), "EleutherAI/gpt-neo-1.3B");
    }

    #[test]
    fn without_a_ref_the_only_snapshot_is_meant() {
        let cache = cache();
        let repository = cache.path().join("models--EleutherAI--gpt-neo-1.3B");
        let find = || locate("EleutherAI/gpt-neo-1.3B", Some(cache.path()));
        fs::write(repository.join("refs/main"), "../../../elsewhere").unwrap();
        assert!(find().unwrap_err().to_string().contains("there are several"));
        fs::remove_dir(repository.join("snapshots/bbb")).unwrap();
        assert!(find().unwrap().ends_with("snapshots/aaa"));
        fs::remove_dir(repository.join("snapshots/aaa")).unwrap();
        assert!(find().unwrap_err().to_string().contains("no snapshot"));
    }

    #[test]
    fn what_is_nowhere_gets_the_nearest_name() {
        let cache = cache();
        let message = |model: &str, hub: Option<&Path>| locate(model, hub).unwrap_err().to_string();
        let near = message("EleutherAI/gpt-neo-1.3b", Some(cache.path()));
        assert!(near.contains("did you mean EleutherAI/gpt-neo-1.3B?"), "{near}");
        assert!(near.contains(&*cache.path().to_string_lossy()), "{near}");
        let missing = cache.path().join("models--EleutherAI--gpt-neo-1.3B/snapshot");
        assert!(message(&missing.to_string_lossy(), None).contains("snapshots?"));
        assert!(message("x\u{1b}y/../../etc", Some(cache.path())).contains(r"x\u{1b}y/../../etc: no such file"));
    }
}
