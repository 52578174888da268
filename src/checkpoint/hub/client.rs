//! Asking the hub. Every wait can be cancelled: what blocks runs on a thread of its own, which is left behind.

use std::io::Read;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use ureq::http::Response;
use ureq::{Agent, Body};

use super::listing::is_tag;
use super::transfer::Blob;
use super::{Hub, HubError};
use crate::checkpoint::escaped;
use crate::control::{Cancelled, Control};

/// How long a connection, and an answer, may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a transfer may bring nothing.
const SILENCE: Duration = Duration::from_secs(60);
/// How often a wait looks whether it is cancelled.
const PERIOD: Duration = Duration::from_millis(50);
/// Most redirections that are followed.
const REDIRECTIONS: usize = 8;
/// Longest list of files.
const MAX_LISTING: u64 = 32 << 20;
/// Bytes that come at a time, and how many such pieces may wait.
const PIECE: usize = 256 << 10;
const PIECES: usize = 8;

/// A failure that trying again may mend; why.
#[derive(Debug)]
pub(super) struct Interrupted(pub(super) String);

/// An answer, or why there is none.
pub(super) type Answer<T> = Result<Result<T, Interrupted>, HubError>;

/// Asks one hub for one model.
#[derive(Debug)]
pub(super) struct Client {
    agent: Agent,
    endpoint: String,
    token: Option<String>,
    name: String,
}

impl Client {
    /// Refuses an address or token that cannot be sent.
    pub(super) fn new(hub: &Hub, name: &str) -> Result<Self, HubError> {
        let endpoint = hub.endpoint.trim_end_matches('/').to_owned();
        let unreachable =
            |reason: &str| HubError::Unreachable { endpoint: escaped(&endpoint, 200), reason: reason.to_owned() };
        if origin(&endpoint).is_none() {
            return Err(unreachable("this is no address that begins with https:// or http://"));
        }
        if hub.token.as_ref().is_some_and(|token| !token.bytes().all(|byte| byte.is_ascii_graphic())) {
            return Err(unreachable("HF_TOKEN holds characters that no token has"));
        }
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // Followed here: the token goes to the hub alone, and the first answer is the one that describes a file.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_resolve(Some(PATIENCE))
            .timeout_connect(Some(PATIENCE))
            .timeout_recv_response(Some(PATIENCE))
            .timeout_per_read(Some(SILENCE))
            .accept_encoding("identity")
            .user_agent(concat!("rankscope/", env!("CARGO_PKG_VERSION")))
            .build();
        Ok(Self { agent: config.into(), endpoint, token: hub.token.clone(), name: name.to_owned() })
    }

    /// The list of the files of the newest revision, as the hub writes it.
    pub(super) fn listing(&self, control: &Control) -> Result<Vec<u8>, HubError> {
        let url = format!("{}/api/models/{}/revision/main", self.endpoint, self.name);
        let unreachable = |reason: String| HubError::Unreachable { endpoint: self.endpoint.clone(), reason };
        let response =
            self.ask(&Request { url, head: false, from: None }, true, control)?.map_err(|e| unreachable(e.0))?;
        match response.status().as_u16() {
            200 => {}
            status => return Err(self.refused(status, None)),
        }
        let read = move || response.into_body().into_with_config().limit(MAX_LISTING).read_to_vec();
        waited(control, read)?.map_err(|error| unreachable(escaped(&error.to_string(), 200)))
    }

    /// What the hub says of a file.
    pub(super) fn about(&self, revision: &str, name: &str, control: &Control) -> Result<Blob, HubError> {
        let request = Request { url: self.address(revision, name), head: true, from: None };
        let response = self.ask(&request, false, control)?.map_err(|error| self.broken(name, error.0))?;
        let status = response.status().as_u16();
        if !(200..400).contains(&status) {
            return Err(self.refused(status, Some(name)));
        }
        let either = |linked: &str, own: &str| header(&response, linked).or_else(|| header(&response, own));
        let tag = either("x-linked-etag", "etag").map(|tag| tag.trim_start_matches("W/").trim_matches('"').to_owned());
        let bytes = either("x-linked-size", "content-length").and_then(|bytes| bytes.parse().ok());
        match tag.filter(|tag| is_tag(tag)).zip(bytes) {
            Some((tag, bytes)) => Ok(Blob { name: name.to_owned(), tag, bytes }),
            None => Err(self.broken(name, "the hub does not tell its length and tag".to_owned())),
        }
    }

    /// A file's content from the byte `from` on.
    pub(super) fn content(&self, revision: &str, name: &str, from: u64, control: &Control) -> Answer<Content> {
        let request =
            Request { url: self.address(revision, name), head: false, from: Some(from).filter(|from| *from > 0) };
        let response = match self.ask(&request, true, control)? {
            Ok(response) => response,
            Err(interrupted) => return Ok(Err(interrupted)),
        };
        match response.status().as_u16() {
            200 => Ok(Ok(Content { from: 0, pieces: pieces(response) })),
            206 => Ok(Ok(Content { from: begins_at(&response).unwrap_or(u64::MAX), pieces: pieces(response) })),
            416 => Ok(Ok(Content { from: u64::MAX, pieces: sync_channel(1).1 })),
            status @ (408 | 429 | 500..) => Ok(Err(Interrupted(format!("the hub answers {status}")))),
            status => Err(self.refused(status, Some(name))),
        }
    }

    /// Asks, and follows redirections: to wherever they lead, or within the hub only.
    fn ask(&self, request: &Request, anywhere: bool, control: &Control) -> Answer<Response<Body>> {
        let mut url = request.url.clone();
        for _ in 0..REDIRECTIONS {
            let (agent, head, from) = (self.agent.clone(), request.head, request.from);
            let at_home = origin(&url) == origin(&self.endpoint);
            let (asked, token) = (url.clone(), self.token.clone().filter(|_| at_home));
            let response = match waited(control, move || send(&agent, &asked, head, from, token.as_deref()))? {
                Ok(response) => response,
                Err(error) => return Ok(Err(Interrupted(escaped(&error.to_string(), 200)))),
            };
            let next = header(&response, "location").filter(|_| response.status().is_redirection());
            let Some(next) = next.and_then(|next| absolute(&url, &next)) else { return Ok(Ok(response)) };
            let leaves = origin(&next) != origin(&self.endpoint);
            if leaves && !anywhere {
                return Ok(Ok(response));
            }
            if url.starts_with("https:") && !next.starts_with("https:") {
                return Ok(Err(Interrupted("the hub sends us on to an address that is not encrypted".to_owned())));
            }
            url = next;
        }
        Ok(Err(Interrupted("the hub sends us from one address to the next".to_owned())))
    }

    fn address(&self, revision: &str, name: &str) -> String {
        format!("{}/{}/resolve/{revision}/{}", self.endpoint, self.name, encoded(name))
    }

    pub(super) fn broken(&self, file: &str, reason: String) -> HubError {
        HubError::Broken { file: format!("{}/{}", self.name, escaped(file, 200)), reason }
    }

    /// What a status means for the model, or one of its files.
    fn refused(&self, status: u16, file: Option<&str>) -> HubError {
        let (endpoint, name) = (self.endpoint.clone(), self.name.clone());
        match (status, file) {
            (401 | 403, _) => {
                let token = if self.token.is_some() { "another token" } else { "a token" };
                HubError::Closed { endpoint, name, token }
            }
            (404, None) => HubError::Missing { endpoint, name },
            (_, None) => HubError::Unreachable { endpoint, reason: format!("it answers {status}") },
            (_, Some(file)) => self.broken(file, format!("the hub answers {status}; run it again")),
        }
    }
}

#[derive(Debug)]
struct Request {
    url: String,
    head: bool,
    from: Option<u64>,
}

/// What comes of a file.
#[derive(Debug)]
pub(super) struct Content {
    /// The byte that the first piece begins with.
    pub(super) from: u64,
    pieces: Receiver<std::io::Result<Vec<u8>>>,
}

impl Content {
    /// The next piece; `None` at the end.
    pub(super) fn next(&self, control: &Control) -> Result<Option<std::io::Result<Vec<u8>>>, Cancelled> {
        loop {
            match self.pieces.recv_timeout(PERIOD) {
                Ok(piece) => return Ok(Some(piece)),
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
                Err(RecvTimeoutError::Timeout) => control.check()?,
            }
        }
    }
}

fn send(
    agent: &Agent,
    url: &str,
    head: bool,
    from: Option<u64>,
    token: Option<&str>,
) -> Result<Response<Body>, ureq::Error> {
    let mut request = if head { agent.head(url) } else { agent.get(url) };
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    if let Some(from) = from {
        request = request.header("range", format!("bytes={from}-"));
    }
    request.call()
}

/// What `work` finds on a thread of its own.
fn waited<T: Send + 'static>(control: &Control, work: impl FnOnce() -> T + Send + 'static) -> Result<T, HubError> {
    let (sender, receiver) = sync_channel(1);
    let spawned = std::thread::Builder::new().name("rankscope hub".into()).spawn(move || sender.send(work()).is_ok());
    spawned.map_err(HubError::Stopped)?;
    loop {
        match receiver.recv_timeout(PERIOD) {
            Ok(found) => return Ok(found),
            Err(RecvTimeoutError::Timeout) => control.check()?,
            Err(RecvTimeoutError::Disconnected) => {
                return Err(HubError::Stopped(std::io::Error::other("its thread has ended")));
            }
        }
    }
}

fn pieces(response: Response<Body>) -> Receiver<std::io::Result<Vec<u8>>> {
    let (sender, receiver) = sync_channel(PIECES);
    let mut body = response.into_body().into_reader();
    // Where there is no thread, nothing comes, which counts as an interruption.
    let _ = std::thread::Builder::new().name("rankscope hub".into()).spawn(move || read_all(&mut body, &sender));
    receiver
}

fn read_all(body: &mut impl Read, sender: &SyncSender<std::io::Result<Vec<u8>>>) {
    loop {
        let mut piece = vec![0; PIECE];
        let read = body.read(&mut piece).map(|bytes| {
            piece.truncate(bytes);
            piece
        });
        let last = !matches!(&read, Ok(piece) if !piece.is_empty());
        if (read.is_err() || !last) && sender.send(read).is_err() {
            return;
        }
        if last {
            return;
        }
    }
}

fn header(response: &Response<Body>, name: &str) -> Option<String> {
    response.headers().get(name)?.to_str().ok().map(str::to_owned)
}

/// Where a partial answer begins (`Content-Range: bytes 5-9/10`).
fn begins_at(response: &Response<Body>) -> Option<u64> {
    header(response, "content-range")?.strip_prefix("bytes ")?.split_once('-')?.0.parse().ok()
}

/// Scheme, host and port of an address.
fn origin(url: &str) -> Option<&str> {
    let start = ["https://", "http://"].into_iter().find(|scheme| url.starts_with(scheme))?.len();
    let host =
        url.get(start..)?.split(['/', '?', '#']).next().filter(|host| !host.is_empty() && !host.contains('@'))?;
    url.get(..start + host.len())
}

/// Where a redirection leads.
fn absolute(from: &str, location: &str) -> Option<String> {
    if origin(location).is_some() {
        return Some(location.to_owned());
    }
    let within = location.starts_with('/') && !location.starts_with("//");
    within.then(|| origin(from).map(|origin| format!("{origin}{location}")))?
}

/// A name as it stands in an address.
fn encoded(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    name.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        assert_eq!(origin("https://a.b:80/c?d"), Some("https://a.b:80"));
        assert_eq!(origin("http://a?x"), Some("http://a"));
        for none in ["ftp://a", "https://", "https:///x", "a/b", "https://user@a/", ""] {
            assert_eq!(origin(none), None, "{none}");
        }
        assert_eq!(absolute("https://a/b/c", "/d").as_deref(), Some("https://a/d"));
        assert_eq!(absolute("https://a/b", "http://c/d").as_deref(), Some("http://c/d"));
        assert_eq!((absolute("https://a/b", "//c"), absolute("https://a/b", "file:///etc")), (None, None));
        assert_eq!(encoded("a b%/ü.json"), "a%20b%25%2F%C3%BC.json");
    }

    #[test]
    fn tokens_and_addresses_that_cannot_be_sent_are_refused() {
        let hub = |endpoint: &str, token: &str| Hub {
            endpoint: endpoint.into(),
            token: Some(token.into()),
            cache: "".into(),
        };
        let reason = |hub: Hub| Client::new(&hub, "a/b").map(|_| ()).unwrap_err().to_string();
        assert!(reason(hub("huggingface.co", "x")).contains("begins with https://"));
        assert!(reason(hub("https://hub", "x\r\nHost: evil")).contains("characters that no token has"));
        assert!(Client::new(&hub("https://hub/", "hf_x"), "a/b").is_ok());
    }
}
