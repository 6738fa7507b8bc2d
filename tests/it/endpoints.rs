//! What real containerd asks to pull an image, by registry settings and by
//! `hosts.toml` files, beside what the library says.
//!
//! Each case is tried on a daemon of its own with `CONTAINERD_DIR`: its log at
//! debug level has the URLs that it asks, none of which is there; what it sends
//! for credentials is seen by a proxy that asks for some. `RECORD=1` writes them
//! to `tests/recorded/endpoints`, for machines without containerd.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use containerd_dropins::Config;
use containerd_dropins::config::{Mirror, Registry, RegistryHost, Secret};
use containerd_dropins::containerd::Release;
use containerd_dropins::registry::{
    CertsD, Endpoint, RemarkKind, convert, diagnose, endpoints, unneeded_mirrors,
};

use crate::daemon::{Run, in_parallel};
use crate::registry::settings;
use crate::support;

/// The releases whose answers are recorded.
const RELEASES: [&str; 3] = ["1.6.20", "1.7.24", "2.1.9"];

/// Settings, as [`settings`] takes them, and registry hosts to pull from.
const SETTINGS: &[(&str, &[&str])] = &[
    (
        "",
        &[
            "reg.invalid",
            "reg.invalid:5000",
            "localhost:1",
            "127.0.0.1:1",
        ],
    ),
    (
        "reg.invalid = m.invalid http://h.invalid:5000 https://s.invalid\nempty.invalid =\n* = any.invalid",
        &[
            "reg.invalid",
            "empty.invalid",
            "other.invalid",
            "any.invalid",
        ],
    ),
    (
        "reg.invalid = a.invalid https://reg.invalid b.invalid\nport.invalid:5000 = port.invalid",
        &["reg.invalid", "port.invalid:5000"],
    ),
    (
        "p.invalid = m.invalid/proxy m.invalid/proxy/ m.invalid/v2 m.invalid/v2/ m.invalid/p/v2\nq.invalid = https://m.invalid/ https://m.invalid/a//b/../c https://u:p@m.invalid/x?y#z",
        &["p.invalid", "q.invalid"],
    ),
    (
        "s.invalid = localhost:1 127.0.0.1:1/p HTTPS://M.invalid [::1]:1\nlocalhost:1 = m.invalid",
        &["s.invalid", "localhost:1"],
    ),
];

/// Endpoints of `reg.invalid` that are not what they look like. Those of which
/// containerd makes no URL keep every pull from being tried.
const ODD: &[&[&str]] = &[
    &["https//m.invalid"],
    &["https:/m.invalid"],
    &["https:m.invalid"],
    &["https://https://m.invalid"],
    &["https://https//m.invalid"],
    &["https://a.invalid,https://b.invalid"],
    &["https://a.invalid/v2,https://b.invalid/v2"],
    &["https://a.invalid https://b.invalid"],
    &["a.invalid,b.invalid"],
    &["a.invalid, b.invalid"],
    &[" https://m.invalid"],
    &["https://m.invalid "],
    &["https://m.invalid/v2 "],
    &["https://m.invalid:port"],
    &["m.invalid:port"],
    &["m.invalid:5000"],
    &["https://m.invalid:70000"],
    &["https://m.invalid:"],
    &["http://${NODE}:5000"],
    &["{{ mirror }}"],
    &["https://:5000"],
    &["https:///v2"],
    &["//m.invalid"],
    &[""],
    &["ftp://m.invalid"],
    &["ftp://reg.invalid", "https://m.invalid"],
    &["https://m.invalid/"],
    &["https://m.invalid/proxy"],
    &["https://m.invalid/v2/proxy"],
    &["https://u:p@m.invalid/v2?q#f"],
    &["HTTPS://M.invalid"],
    &["https://reg.invalid"],
    &["https://reg.invalid/"],
    &["https://Reg.invalid"],
];

/// Names of mirrors, and a registry host each that they look like.
const NAMES: &[(&str, &str)] = &[
    ("https://reg.invalid", "reg.invalid"),
    ("reg.invalid/proxy", "reg.invalid"),
    ("*.invalid", "reg.invalid"),
    ("Reg.invalid", "reg.invalid"),
    ("Reg.invalid", "Reg.invalid"),
    ("reg.invalid:443", "reg.invalid"),
    ("index.docker.io", "docker.io"),
    ("index.docker.io", "index.docker.io"),
    ("registry-1.docker.io", "docker.io"),
    ("registry-1.docker.io", "registry-1.docker.io"),
    ("docker.io:443", "docker.io"),
    ("docker.io", "index.docker.io"),
];

/// Mirrors over plain HTTP, registry hosts, and names for entries of `configs`.
const CONFIGS: &[(&str, &str, &[&str])] = &[
    (
        "docker.io = http://registry-1.docker.io",
        "docker.io",
        &[
            "docker.io",
            "registry-1.docker.io",
            "index.docker.io",
            "docker.io:443",
            "registry-1.docker.io:80",
            "Registry-1.docker.io",
            "https://registry-1.docker.io",
            "http://registry-1.docker.io",
            "registry-1.docker.io/v2",
            "*",
        ],
    ),
    (
        "docker.io = http://docker.io",
        "docker.io",
        &["docker.io", "registry-1.docker.io"],
    ),
    (
        "reg.invalid = http://m.invalid:5000/v2/proxy http://reg.invalid",
        "reg.invalid",
        &[
            "m.invalid:5000",
            "m.invalid",
            "m.invalid:5000/v2/proxy",
            "http://m.invalid:5000/v2/proxy",
            "reg.invalid",
            "*.invalid",
        ],
    ),
    (
        "* = http://m.invalid",
        "reg.invalid",
        &["m.invalid", "*", "M.invalid"],
    ),
];

/// Files below `config_path`, and registry hosts.
type Files = &'static [(&'static str, &'static str)];
const FILES: &[(Files, &[&str])] = &[
    (
        &[
            (
                "reg.invalid/hosts.toml",
                "server = \"https://up.invalid\"\n[host.\"z.invalid\"]\n[host.\"https://a.invalid/p\"]\n[host.\"https://o.invalid/p\"]\noverride_path = true\n[host.\"https://v.invalid/p/v2/\"]\n",
            ),
            (
                "_default/hosts.toml",
                "[host.\"https://d.invalid\"]\ncapabilities = [\"pull\", \"resolve\"]\n",
            ),
        ],
        &[
            "reg.invalid",
            "other.invalid",
            "localhost:1",
            "localhost",
            "127.0.0.1:1",
        ],
    ),
    // Without a table `host`, and with an empty one.
    (
        &[
            (
                "without.invalid/hosts.toml",
                "server = \"https://up.invalid\"\n",
            ),
            (
                "with.invalid/hosts.toml",
                "server = \"https://up.invalid\"\n[host]\n",
            ),
            ("empty.invalid/hosts.toml", ""),
            (
                "path.invalid/hosts.toml",
                "server = \"https://up.invalid/raw\"\noverride_path = true\n[host]\n",
            ),
        ],
        &[
            "without.invalid",
            "with.invalid",
            "empty.invalid",
            "path.invalid",
        ],
    ),
    // What a release cannot read.
    (
        &[
            (
                "word.invalid/hosts.toml",
                "[host.\"https://m.invalid\"]\ncapabilities = [\"fly\"]\n",
            ),
            ("url.invalid/hosts.toml", "[host.\"https://%zz\"]\n"),
            (
                "timeout.invalid/hosts.toml",
                "[host.\"https://m.invalid\"]\ndial_timeout = \"soon\"\n",
            ),
            ("six.invalid/hosts.toml", "[host.\"https://[fd00::1]:1\"]\n"),
            (
                "key.invalid/hosts.toml",
                "[host.\"https://m.invalid\"]\nnobody = 1\n",
            ),
        ],
        &[
            "word.invalid",
            "url.invalid",
            "timeout.invalid",
            "six.invalid",
            "key.invalid",
        ],
    ),
    // Hosts that have no table of their own.
    (
        &[
            (
                "dotted.invalid/hosts.toml",
                "server = \"https://up.invalid\"\n[host]\n\"https://b.invalid\".capabilities = [\"pull\", \"resolve\"]\n\"https://[fd00::1]:1\".capabilities = [\"pull\", \"resolve\"]\n\"https://a.invalid\".capabilities = [\"pull\", \"resolve\"]\n",
            ),
            (
                "inline.invalid/hosts.toml",
                "[host]\n\"https://a.invalid\" = { capabilities = [\"pull\", \"resolve\"] }\n",
            ),
        ],
        &["dotted.invalid", "inline.invalid"],
    ),
    // Hosts in notations that are rare, and tables that do not stand together.
    (
        &[
            (
                "top.invalid/hosts.toml",
                "host.\"https://a.invalid\".capabilities = [\"pull\", \"resolve\"]\n",
            ),
            (
                "whole.invalid/hosts.toml",
                "host = { \"https://a.invalid\" = { capabilities = [\"pull\", \"resolve\"] } }\n",
            ),
            (
                "some.invalid/hosts.toml",
                "[host]\n\"https://b.invalid\".capabilities = [\"pull\", \"resolve\"]\n[host.\"https://a.invalid\"]\n",
            ),
            (
                "sub.invalid/hosts.toml",
                "[host.\"https://b.invalid\".header]\nx = \"y\"\n[host.\"https://a.invalid\"]\n",
            ),
            (
                "half.invalid/hosts.toml",
                "[host.\"https://a.invalid\"]\n[host]\n\"https://b.invalid\".capabilities = [\"pull\", \"resolve\"]\n[host.\"https://b.invalid\".header]\nx = \"y\"\n",
            ),
            (
                "apart.invalid/hosts.toml",
                "[host.\"https://a.invalid\"]\n[host.\"https://b.invalid\"]\n[host.\"https://a.invalid\".header]\nx = \"y\"\n",
            ),
            (
                "later.invalid/hosts.toml",
                "[host.\"https://b.invalid\".header]\nx = \"y\"\n[host.\"https://a.invalid\"]\n[host.\"https://b.invalid\"]\n",
            ),
            (
                "seven.invalid/hosts.toml",
                "[host.\"https://a.invalid\"]\n[host.\"https://[fd00::1]:1\".header]\nx = \"y\"\n",
            ),
        ],
        &[
            "top.invalid",
            "whole.invalid",
            "some.invalid",
            "sub.invalid",
            "half.invalid",
            "apart.invalid",
            "later.invalid",
            "seven.invalid",
        ],
    ),
    // Which folder counts.
    (
        &[
            (
                "reg.invalid_5000_/hosts.toml",
                "[host.\"https://a.invalid\"]\n",
            ),
            (
                "reg.invalid:5000/hosts.toml",
                "[host.\"https://b.invalid\"]\n",
            ),
            (
                "colon.invalid:5000/hosts.toml",
                "[host.\"https://c.invalid\"]\n",
            ),
            ("_default/hosts.toml", "[host.\"https://d.invalid\"]\n"),
        ],
        &["reg.invalid:5000", "reg.invalid", "colon.invalid:5000"],
    ),
    // Only some can say what a tag is.
    (
        &[(
            "reg.invalid/hosts.toml",
            "server = \"https://up.invalid\"\ncapabilities = [\"push\"]\n[host.\"https://a.invalid\"]\ncapabilities = [\"pull\"]\n[host.\"https://b.invalid\"]\ncapabilities = [\"PULL\", \"Resolve\"]\n",
        )],
        &["reg.invalid"],
    ),
];

struct Case {
    name: String,
    /// The registry settings, in the config version of the release.
    config: String,
    files: Vec<(String, String)>,
    host: &'static str,
    /// What the library says.
    expected: Vec<String>,
    /// What is asked twice may be asked once.
    is_converted: bool,
    /// What is sent for credentials is looked at, by a proxy.
    has_credentials: bool,
}

/// One mirror.
fn mirror(name: &str, endpoints: &[&str]) -> Registry {
    let mut mirror = Mirror::default();
    mirror.endpoint = Some(endpoints.iter().map(|text| (*text).to_owned()).collect());
    let mut settings = Registry::default();
    settings.mirrors.insert(name.to_owned(), mirror);
    settings
}

/// A proxy that answers every request with the wish for a name and a password,
/// and one that has them with the news that nothing is there. It tells what it
/// was asked, in order, with the name in front where one was sent.
struct Proxy {
    address: String,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    fn start() -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&seen);
        // It ends with the tests.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let told = Arc::clone(&told);
                std::thread::spawn(move || Proxy::serve(&stream, &told));
            }
        });
        Proxy { address, seen }
    }

    fn serve(stream: &TcpStream, told: &Mutex<Vec<String>>) {
        let lines = BufReader::new(stream).lines().map_while(Result::ok);
        let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
        let url = head.first().and_then(|line| line.split(' ').nth(1));
        let plain = url.filter(|url| url.starts_with("http://"));
        let is_sent = |line: &String| {
            let (name, value) = line.split_once(": ").unwrap_or_default();
            // `robot:secret`
            name.eq_ignore_ascii_case("authorization") && value == "Basic cm9ib3Q6c2VjcmV0"
        };
        let is_sent = head.iter().any(is_sent);
        let answer = match (plain, is_sent) {
            (None, _) => "502 Bad Gateway\r\n",
            (_, true) => "404 Not Found\r\n",
            (_, false) => "401 Unauthorized\r\nWww-Authenticate: Basic realm=\"x\"\r\n",
        };
        if let Some(url) = plain {
            let url = url.split("?ns=").next().unwrap_or(url);
            let url = url.trim_end_matches("/library/x/manifests/1");
            let who = if is_sent { "robot@" } else { "" };
            told.lock().unwrap().push(format!("{who}{url}"));
        }
        let mut stream = stream;
        let _ = write!(
            stream,
            "HTTP/1.1 {answer}Content-Length: 0\r\nConnection: close\r\n\r\n"
        );
    }

    /// Each URL where it is first, with the name if that was ever sent to it.
    fn told(&self) -> Vec<String> {
        let seen = self.seen.lock().unwrap().clone();
        let bare = |url: &str| url.trim_start_matches("robot@").to_owned();
        let sent: BTreeSet<&String> = seen
            .iter()
            .filter(|url| url.starts_with("robot@"))
            .collect();
        let urls = once(seen.iter().map(|url| bare(url)).collect()).into_iter();
        urls.map(|url| {
            let named = format!("robot@{url}");
            if sent.contains(&named) { named } else { url }
        })
        .collect()
    }
}

/// What a pull asks, by the library; nothing where it is refused.
fn urls_of(registry: &Registry, host: &str, version: Release) -> Vec<String> {
    let found = endpoints(registry, host, version).map(|list| urls(&list));
    found.unwrap_or_default()
}

/// Settings that are odd.
fn odd_cases(version: Release, is_2: bool) -> Vec<Case> {
    let case = |name: String, registry: &Registry, host, expected| {
        let mut config = Config::default();
        config.version = Some(if is_2 { 3 } else { 2 });
        config.plugins.cri.registry = registry.clone();
        Case {
            name,
            config: config.to_toml(),
            files: Vec::new(),
            host,
            expected,
            is_converted: false,
            has_credentials: false,
        }
    };
    let mut cases = Vec::new();
    for endpoints in ODD {
        let host = "reg.invalid";
        let registry = mirror(host, endpoints);
        let expected = urls_of(&registry, host, version);
        cases.push(case(
            format!("{endpoints:?} {host}"),
            &registry,
            host,
            expected,
        ));
    }
    for (name, host) in NAMES {
        let registry = mirror(name, &["https://m.invalid"]);
        // `index.docker.io` in an image's name is `docker.io`.
        let looked_up = if *host == "index.docker.io" {
            "docker.io"
        } else {
            host
        };
        let expected = urls_of(&registry, looked_up, version);
        cases.push(case(
            format!("mirror {name:?} {host}"),
            &registry,
            host,
            expected,
        ));
    }
    for (text, host, names) in CONFIGS {
        for name in *names {
            let mut registry = settings(text);
            let list = endpoints(&registry, host, version).unwrap();
            let plain = list.iter().filter(|endpoint| endpoint.scheme == "http");
            let sent = plain.map(|endpoint| match endpoint.host == *name {
                true => format!("robot@{endpoint}"),
                false => endpoint.to_string(),
            });
            let sent = once(sent.collect());
            let mut config = RegistryHost::default();
            config.auth.username = Some(Secret::new("robot"));
            config.auth.password = Some(Secret::new("secret"));
            registry.configs.insert((*name).to_owned(), config);
            let auth = case(
                format!("{text:?} auth {name:?} {host}"),
                &registry,
                host,
                sent,
            );
            cases.push(Case {
                has_credentials: true,
                ..auth
            });
            // A file that is not there keeps pulls from being tried if it is
            // looked at; containerd 2.x does not.
            let is_read = !is_2 && list.iter().any(|endpoint| endpoint.host == *name);
            let expected = if is_read { Vec::new() } else { urls(&list) };
            let mut config = RegistryHost::default();
            config.tls.ca_file = Some("/nowhere/ca.pem".to_owned());
            registry.configs.insert((*name).to_owned(), config);
            let name = format!("{text:?} tls {name:?} {host}");
            cases.push(case(name, &registry, host, expected));
        }
    }
    cases
}

/// Each URL where it is first.
fn once(mut urls: Vec<String>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    urls.retain(|url| seen.insert(url.clone()));
    urls
}

/// The URLs that a pull of a tag asks by a list of endpoints.
fn urls(list: &[Endpoint]) -> Vec<String> {
    let can = |endpoint: &&Endpoint| {
        let words = ["pull", "resolve"];
        let has = |word: &&str| {
            endpoint
                .capabilities
                .iter()
                .any(|one| one.as_str() == *word)
        };
        words.iter().all(has)
    };
    let url = |endpoint: &Endpoint| {
        let scheme = if endpoint.https_first {
            "https"
        } else {
            &endpoint.scheme
        };
        let path = endpoint.path.trim_end_matches('/');
        format!("{scheme}://{}{path}", endpoint.host)
    };
    list.iter().filter(can).map(url).collect()
}

fn owned<'a>(files: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<(String, String)> {
    let owned = files.map(|(path, text)| (path.to_owned(), text.to_owned()));
    owned.collect()
}

fn is_on_node(host: &str) -> bool {
    host.starts_with("localhost") || host.starts_with("127.")
}

/// An endpoint that had a slash for a path is asked as it should be.
fn with_v2(url: &str) -> String {
    match url
        .split_once("://")
        .is_some_and(|(_, rest)| rest.contains('/'))
    {
        true => url.to_owned(),
        false => format!("{url}/v2"),
    }
}

fn with_config_path(is_2: bool) -> String {
    let mut config = Config::default();
    config.version = Some(if is_2 { 3 } else { 2 });
    config.plugins.cri.registry.config_path = Some("CERTS_D".to_owned());
    config.to_toml()
}

fn cases(release: &str) -> Vec<Case> {
    let version: Release = release.parse().unwrap();
    let is_2 = release.starts_with("2.");
    let mut cases = Vec::new();
    for (text, hosts) in SETTINGS {
        let registry = settings(text);
        let mut config = Config::default();
        config.version = Some(if is_2 { 3 } else { 2 });
        config.plugins.cri.registry = registry.clone();
        for host in *hosts {
            cases.push(Case {
                name: format!("{text:?} {host}"),
                config: config.to_toml(),
                files: Vec::new(),
                host,
                expected: urls(&endpoints(&registry, host, version).unwrap()),
                is_converted: false,
                has_credentials: false,
            });
        }
    }
    // The same settings as files.
    for (text, hosts) in SETTINGS {
        let registry = settings(text);
        let conversion = convert(&registry, "1.7.24".parse().unwrap(), version).unwrap();
        let files = conversion.files.iter();
        let files: Vec<(String, String)> = files
            .map(|file| (file.path.clone(), file.file.to_toml(version)))
            .collect();
        // Of hosts that the settings do not name, those on the node itself are
        // asked otherwise; and what is asked twice is in a file once.
        let is_said = |host: &str| text.contains(host) || !is_on_node(host);
        for host in hosts
            .iter()
            .filter(|host| !files.is_empty() && is_said(host))
        {
            let expected = urls(&endpoints(&registry, host, version).unwrap());
            cases.push(Case {
                name: format!("{text:?} as files {host}"),
                config: with_config_path(is_2),
                files: files.clone(),
                host,
                expected: once(expected.iter().map(|url| with_v2(url)).collect()),
                is_converted: true,
                has_credentials: false,
            });
        }
    }
    for (files, hosts) in FILES {
        let certs_d = CertsD::new("/certs.d", files.iter().copied());
        for host in *hosts {
            cases.push(Case {
                name: format!("{} {host}", files[0].0),
                config: with_config_path(is_2),
                files: owned(files.iter().copied()),
                host,
                expected: urls(&certs_d.endpoints(host, version)),
                is_converted: false,
                has_credentials: false,
            });
        }
    }
    cases.extend(odd_cases(version, is_2));
    cases
}

/// Asks a daemon to pull an image, by a call of gRPC of which only the request
/// matters: `runtime.v1.ImageService/PullImage`.
fn pull(socket: &str, image: &str) -> std::io::Result<UnixStream> {
    let frame = |kind: u8, flags: u8, stream: u32, body: &[u8]| {
        let length = u32::try_from(body.len()).unwrap().to_be_bytes();
        let mut frame = length[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(stream.to_be_bytes());
        frame.extend(body);
        frame
    };
    let text = |text: &str| {
        let mut bytes = vec![u8::try_from(text.len()).unwrap()];
        bytes.extend(text.bytes());
        bytes
    };
    let mut headers = Vec::new();
    for (name, value) in [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/runtime.v1.ImageService/PullImage"),
        (":authority", "localhost"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ] {
        headers.push(0);
        headers.extend(text(name));
        headers.extend(text(value));
    }
    // PullImageRequest { image: ImageSpec { image } }
    let spec = [vec![0x0a], text(image)].concat();
    let message = [vec![0x0a, u8::try_from(spec.len()).unwrap()], spec].concat();
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    let data = [vec![0], length.to_vec(), message].concat();
    let mut stream = UnixStream::connect(socket)?;
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")?;
    stream.write_all(&frame(4, 0, 0, &[]))?;
    stream.write_all(&frame(1, 4, 1, &headers))?;
    stream.write_all(&frame(0, 1, 1, &data))?;
    Ok(stream)
}

/// Whether the log tells that the pull has failed.
fn is_over(log: &str) -> bool {
    let mut lines = log.lines();
    lines.any(|line| line.contains("level=error") && line.contains("PullImage"))
}

/// The value of a field in a line of the log.
fn field<'l>(line: &'l str, name: &str) -> Option<&'l str> {
    let (_, behind) = line.split_once(&format!(" {name}="))?;
    match behind.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next(),
        None => behind.split(' ').next(),
    }
}

/// What a daemon asks; `None` where it does not pull at all.
fn asked(binary: &Path, name: &str, release: &str, case: &Case) -> Option<Vec<String>> {
    let folder = support::TempDir::new(&format!("{name}-certs"));
    for (path, text) in &case.files {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let snapshots = match release.starts_with("2.") {
        // By itself, so that it needs no more than this.
        true => {
            "\n[plugins.\"io.containerd.cri.v1.images\"]\nsnapshotter = \"native\"\nuse_local_image_pull = true\n"
        }
        false => "\n[plugins.\"io.containerd.grpc.v1.cri\".containerd]\nsnapshotter = \"native\"\n",
    };
    let config = case
        .config
        .replace("CERTS_D", &folder.path().display().to_string());
    let image = format!("{}/library/x:1", case.host);
    let proxy = case.has_credentials.then(Proxy::start);
    let nowhere = "http://127.0.0.1:1";
    let run = Run::behind(
        proxy.as_ref().map_or(nowhere, |proxy| &proxy.address),
        binary,
        name,
        &format!("{config}{snapshots}"),
        Duration::ZERO,
        |socket, log| {
            // Until CRI is ready it says so and does nothing; what it does it logs.
            let began = Instant::now();
            let mut stream = pull(socket, &image).unwrap();
            let mut asked = Instant::now();
            while !is_over(&log()) && began.elapsed().as_secs() < 30 {
                if !log().contains("PullImage") && asked.elapsed().as_millis() > 500 {
                    stream = pull(socket, &image).unwrap();
                    asked = Instant::now();
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            drop(stream);
        },
    );
    if run.exited || !run.loads_cri() || !run.log.contains("PullImage") {
        return None;
    }
    if let Some(proxy) = proxy {
        return Some(proxy.told());
    }
    let requests = run.log.lines().filter(|line| line.contains("do request"));
    let urls = requests.filter_map(|line| field(line, "url"));
    let found = urls.map(|url| {
        let url = url.split("?ns=").next().unwrap_or(url);
        url.trim_end_matches("/library/x/manifests/1").to_owned()
    });
    let found: Vec<String> = found.collect();
    Some(if case.is_converted {
        once(found)
    } else {
        found
    })
}

/// What a release was recorded to ask, by the name of the case.
fn recorded(release: &str) -> BTreeMap<String, Vec<String>> {
    let text = support::read(&support::path(&format!("recorded/endpoints/{release}")));
    let line = |line: &str| {
        let (name, urls) = line.rsplit_once(": ").unwrap();
        let urls = urls.split_whitespace().map(str::to_owned);
        (name.to_owned(), urls.collect())
    };
    text.lines().map(line).collect()
}

/// Credentials that are sent are said nothing of; those that are not are told,
/// but where another image would have them sent.
#[test]
fn what_is_never_sent_is_told() {
    for release in RELEASES {
        let recorded = recorded(release);
        for (text, host, names) in CONFIGS {
            for name in *names {
                let mut registry = settings(text);
                let mut config = RegistryHost::default();
                config.auth.identitytoken = Some(Secret::new("secret"));
                registry.configs.insert((*name).to_owned(), config);
                let path = ["configs", name, "auth"];
                let remarks = diagnose(&registry);
                let told = remarks.iter().find(|remark| remark.path == path);
                let told = told.map(|remark| remark.kind);
                let asked = &recorded[&format!("{text:?} auth {name:?} {host}")];
                let is_sent = asked.iter().any(|url| url.starts_with("robot@"));
                // That of an image called registry-1.docker.io/x would be.
                let is_other = *text == "docker.io = http://docker.io" && !is_sent;
                assert_eq!(
                    told.is_none(),
                    is_sent || is_other,
                    "{text} {name}: {told:?}"
                );
                assert!(matches!(
                    told,
                    None | Some(RemarkKind::NeverLookedUp | RemarkKind::OtherSpelling)
                ));
            }
        }
    }
}

/// A mirror is unneeded if and only if with it the registry itself was asked and
/// nothing else; what every pull fails of is not one URL.
#[test]
fn what_changes_nothing_was_seen_to() {
    for release in RELEASES {
        let recorded = recorded(release);
        let version: Release = release.parse().unwrap();
        let from: Release = "1.7.24".parse().unwrap();
        for endpoints in ODD {
            let registry = mirror("reg.invalid", endpoints);
            let asked = &recorded[&format!("{endpoints:?} reg.invalid")];
            // Nothing goes out by these.
            let is_dead = |url: &&String| url.starts_with("ftp:") || url.starts_with("https:///");
            let asked: Vec<&String> = asked.iter().filter(|url| !is_dead(url)).collect();
            let unneeded = unneeded_mirrors(&registry, from, version);
            let changes_nothing = asked == ["https://reg.invalid/v2"];
            assert_eq!(!unneeded.is_empty(), changes_nothing, "{endpoints:?}");
            let remarks = diagnose(&registry);
            let is_not_one = remarks
                .iter()
                .any(|remark| remark.kind == RemarkKind::NotOneUrl);
            assert!(is_not_one || !asked.is_empty(), "{endpoints:?}");
        }
        for (name, host) in NAMES {
            let registry = mirror(name, &["https://m.invalid"]);
            let asked = &recorded[&format!("mirror {name:?} {host}")];
            let is_used = asked.contains(&"https://m.invalid/v2".to_owned());
            let remarks = diagnose(&registry);
            let kind = remarks.first().map(|remark| remark.kind);
            assert!(
                !is_used || kind != Some(RemarkKind::NeverLookedUp),
                "{name}"
            );
            // Another registry host, as far as containerd can tell.
            let is_other = *name == "reg.invalid:443";
            assert!(is_used || kind.is_some() || is_other, "{name}");
        }
    }
}

#[test]
fn containerd_asks_what_the_library_says() {
    let daemons = support::containerds();
    for release in RELEASES {
        let cases = cases(release);
        let answer = |case: &Case, urls: &[String]| format!("{}: {}\n", case.name, urls.join(" "));
        let expected: String = cases
            .iter()
            .map(|case| answer(case, &case.expected))
            .collect();
        let path = support::path(&format!("recorded/endpoints/{release}"));
        let daemon = daemons
            .iter()
            .find(|(version, _)| version.as_str() == release);
        if let Some((_, binary)) = daemon {
            let runs = in_parallel(cases.len(), |at| {
                let name = format!("endpoints-{release}-{at}");
                asked(binary, &name, release, &cases[at])
            });
            if runs.iter().all(Option::is_none) {
                // The test passes, so what it prints is not shown.
                let told = writeln!(
                    std::io::stderr(),
                    "SKIPPED: containerd {release} pulls nothing here"
                );
                told.unwrap();
            } else {
                let mut found = String::new();
                for (case, urls) in cases.iter().zip(&runs) {
                    found.push_str(&answer(case, urls.as_deref().unwrap_or_default()));
                }
                for (found, expected) in found.lines().zip(expected.lines()) {
                    assert_eq!(found, expected, "{release}");
                }
                if std::env::var_os("RECORD").is_some() {
                    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                    std::fs::write(&path, found).unwrap();
                }
            }
        }
        assert_eq!(
            expected,
            support::read(&path),
            "{release}: record containerd's answer again"
        );
    }
}
