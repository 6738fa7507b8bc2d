//! A conversion of registry settings as a whole: its files, their number, and
//! what is checked of them.

use containerd_dropins::containerd::Release;
use containerd_dropins::registry::{Capability, CertsD, Conversion, RemarkKind, Unsound, convert};

use crate::registry::settings;

const OLD: Release = Release::new(1, 7, 24);
const NEW: Release = Release::new(2, 3, 3);

fn converted(text: &str) -> Conversion {
    convert(&settings(text), OLD, NEW).unwrap()
}

fn paths(text: &str) -> Vec<String> {
    let files = converted(text).files.into_iter();
    files.map(|file| file.path).collect()
}

/// By path, which is not the order of the hosts, nor that of the settings.
#[test]
fn files_are_in_the_order_of_their_paths() {
    let text = "z.example = m.example\na.b = m.example\na.b-c = m.example\nA.b = m.example\n\
                * = any.example\na.b:5000 = m.example";
    let expected = [
        "A.b/hosts.toml",
        "_default/hosts.toml",
        "a.b-c/hosts.toml",
        "a.b/hosts.toml",
        "a.b_5000_/hosts.toml",
        "z.example/hosts.toml",
    ];
    assert_eq!(paths(text), expected);
}

/// What a remark of a kind is about, below `registry`.
fn about(conversion: &Conversion, kind: RemarkKind) -> Vec<String> {
    let remarks = conversion.remarks.iter();
    let remarks = remarks.filter(|remark| remark.kind == kind);
    remarks.map(|remark| remark.path.join("|")).collect()
}

/// k0s runs containerd in its data directory, where relative paths start;
/// hosts.toml would have them start beside itself.
#[test]
fn relative_paths_become_absolute() {
    let found = converted(
        "m.example = http://plain.example\n\
         tls m.example = certs/ca.pem ./c.pem ../k.pem\ntls full.example = /ca.pem",
    );
    let file = |host: &str| {
        let file = found.files.iter().find(|file| file.host == host);
        file.unwrap().file.settings.clone()
    };
    let secured = file("m.example");
    assert_eq!(secured.ca, ["/var/lib/k0s/certs/ca.pem"]);
    let client = &secured.client[0];
    assert_eq!(client.certificate, "/var/lib/k0s/c.pem");
    assert_eq!(client.key.as_deref(), Some("/var/lib/k.pem"));
    assert_eq!(file("full.example").ca, ["/ca.pem"]);
    // One for each path.
    let remarks = about(&found, RemarkKind::RelativePath);
    assert_eq!(remarks, ["configs|m.example|tls"; 3]);
}

/// Where the settings do nothing, it does not matter where a path starts.
#[test]
fn of_a_path_that_no_file_has_nothing_is_said() {
    let path = "configs|plain.example|tls";
    let found = converted("a.example = http://plain.example\ntls plain.example = ca.pem\n");
    let used = found.files.iter().any(|file| file.host == "plain.example");
    assert!(used, "{found:?}");
    assert_eq!(about(&found, RemarkKind::RelativePath), [path]);
    // No image is of such a host, and it is asked over plain HTTP only.
    let path = "configs|plain|tls";
    let found = converted("a.example = http://plain\ntls plain = ca.pem\n");
    assert_eq!(about(&found, RemarkKind::PlainHttp), [path]);
    assert!(
        about(&found, RemarkKind::RelativePath).is_empty(),
        "{found:?}"
    );
    assert!(
        about(&found, RemarkKind::WithoutEffect).is_empty(),
        "{found:?}"
    );
}

/// A mirror that makes no difference, and TLS settings of a host that is never
/// asked, have no file, and it is said.
#[test]
fn what_no_file_stands_for_is_said() {
    let found = converted("a.example = a.example\nb.example = m.example\n");
    assert_eq!(about(&found, RemarkKind::Redundant), ["mirrors|a.example"]);
    assert_eq!(found.files.len(), 1);
    let sources: Vec<String> = found.files[0]
        .sources
        .iter()
        .map(|path| path.join("|"))
        .collect();
    assert_eq!(sources, ["mirrors|b.example"]);
}

/// The mirror of all hosts is a source of the files that repeat it, and so are
/// the TLS settings of the hosts that are asked.
#[test]
fn files_tell_what_they_stand_for() {
    let found = converted(
        "* = any.example\nown.example = m.example other.example\n\
         tls m.example = skip\ntls any.example = skip\ntls else.example = skip\n",
    );
    let sources = |host: &str| -> Vec<String> {
        let file = found.files.iter().find(|file| file.host == host).unwrap();
        file.sources.iter().map(|path| path.join("|")).collect()
    };
    let any = ["configs|any.example|tls", "mirrors|*"];
    assert_eq!(sources("_default"), any);
    assert_eq!(
        sources("own.example"),
        ["configs|m.example|tls", "mirrors|own.example"]
    );
    let both = [
        "configs|any.example|tls",
        "configs|else.example|tls",
        "mirrors|*",
    ];
    assert_eq!(sources("else.example"), both);
}

/// The endpoints that stand in the files, by host: each mirror but the last with
/// what CRI does there, the last as server. The registry itself may be asked for
/// everything, another server for what a mirror is.
#[test]
fn the_last_endpoint_is_asked_for_what_it_is() {
    let mirror = [Capability::Pull, Capability::Resolve, Capability::Referrers];
    let found = converted(
        "a.example = m.example a.example\nb.example = m.example b.example:443\ndocker.io = m.example\n",
    );
    for (host, server, capabilities) in [
        ("a.example", "https://a.example", &[][..]),
        ("b.example", "https://b.example", &[]),
        ("docker.io", "https://registry-1.docker.io", &[]),
    ] {
        let file = &found
            .files
            .iter()
            .find(|file| file.host == host)
            .unwrap()
            .file;
        assert_eq!(file.hosts[0].url, "https://m.example");
        assert_eq!(file.hosts[0].settings.capabilities, mirror);
        assert_eq!(file.server.as_deref(), Some(server));
        assert_eq!(file.settings.capabilities, capabilities, "{host}");
    }
    // The registry under its own name comes first, so that another one is last.
    let found = converted("a.example = a.example m.example\n");
    let file = &found.files[0].file;
    assert_eq!(file.server.as_deref(), Some("https://m.example"));
    assert_eq!(file.settings.capabilities, mirror);
    // All but the last for all hosts: none is the last.
    let found = converted("* = m.example n.example/v2 o.example/x\n");
    let file = &found.files[0].file;
    assert_eq!((file.server.as_ref(), file.hosts.len()), (None, 3));
    let urls: Vec<(&str, bool)> = file
        .hosts
        .iter()
        .map(|host| (host.url.as_str(), host.settings.override_path))
        .collect();
    let expected = [
        ("https://m.example", false),
        ("https://n.example", false),
        ("https://o.example/x", true),
    ];
    assert_eq!(urls, expected);
}

/// As many as `hosts` with TLS settings of their own hide what `*` has, which
/// `endpoints` endpoints are: each host has those and itself.
fn spread(endpoints: usize, hosts: usize) -> Result<Conversion, String> {
    let names: Vec<String> = (0..endpoints).map(|at| format!("m{at}.example")).collect();
    let tls = (0..hosts).map(|at| format!("\ntls h{at}.example = skip"));
    let text = format!("* = {}{}", names.join(" "), tls.collect::<String>());
    convert(&settings(&text), OLD, NEW).map_err(|error| error.to_string())
}

/// 10,000 endpoints may be written in any case, and 20 for each endpoint and
/// name in the settings.
#[test]
fn files_have_a_limit() {
    let said = |limit: usize| {
        format!("the endpoints for all hosts would be written more than {limit} times")
    };
    assert_eq!(spread(99, 100).unwrap().files.len(), 101);
    // 73 × 137 = 10,001
    assert_eq!(spread(136, 73).unwrap_err(), said(10_000));
    // 800 × 21 = 20 × (800 hosts with settings + 20 that are endpoints + 20
    // endpoints)
    assert_eq!(spread(20, 800).unwrap().files.len(), 801);
    assert_eq!(spread(20, 801).unwrap_err(), said(20 * 841));
}

/// Which host is found to be pulled otherwise, where a tree has another file.
fn unsound(text: &str, path: &str, file: Option<&str>) -> Option<String> {
    let conversion = converted(text);
    let mut files: Vec<(String, String)> = conversion
        .files
        .iter()
        .map(|file| (file.path.clone(), file.file.to_toml(NEW)))
        .filter(|(name, _)| name != path)
        .collect();
    files.extend(file.map(|text| (path.to_owned(), text.to_owned())));
    let files = files
        .iter()
        .map(|(path, text)| (path.as_str(), text.as_str()));
    let checked = conversion.check(&CertsD::new("/certs.d", files), NEW);
    checked.err().map(|Unsound { host, .. }| host)
}

const OTHER: &str = "server = \"https://other.example\"\n[host.\"https://other.example\"]\n";

/// Every host that the settings or the tree name is looked at, and one that
/// neither does.
#[test]
fn the_check_visits_every_host() {
    let text =
        "a.example = m.example:5000\ntls t.example = skip\nb.example = registry-1.docker.io\n";
    assert_eq!(unsound(text, "", None), None);
    for (path, file, host) in [
        // Missing, and another.
        ("a.example/hosts.toml", None, "a.example"),
        ("a.example/hosts.toml", Some(OTHER), "a.example"),
        ("t.example/hosts.toml", None, "t.example"),
        // Hosts that are named as endpoints only.
        ("m.example_5000_/hosts.toml", Some(OTHER), "m.example:5000"),
        (
            "registry-1.docker.io/hosts.toml",
            Some(OTHER),
            "registry-1.docker.io",
        ),
        ("docker.io/hosts.toml", Some(OTHER), "docker.io"),
        // Hosts that the tree alone names.
        ("else.example/hosts.toml", Some(OTHER), "else.example"),
        (
            "else.example_80_/hosts.toml",
            Some(OTHER),
            "else.example:80",
        ),
        ("else.example:80/hosts.toml", Some(OTHER), "else.example:80"),
        ("[:_1]_/hosts.toml", Some(OTHER), "[::1]"),
        // Any other.
        ("_default/hosts.toml", Some(OTHER), "docker.io"),
    ] {
        assert_eq!(unsound(text, path, file).as_deref(), Some(host), "{path}");
    }
    assert_eq!(
        unsound("", "_default/hosts.toml", Some(OTHER)).as_deref(),
        Some("named-nowhere.invalid")
    );
    // What no image can be of, and what leads to the same.
    assert_eq!(unsound(text, "plain/hosts.toml", Some(OTHER)), None);
    let same = "server = \"https://else.example\"\n[host.\"https://else.example\"]\n";
    assert_eq!(unsound(text, "else.example/hosts.toml", Some(same)), None);
}
