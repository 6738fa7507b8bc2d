//! Registry settings and `hosts.toml` files: what containerd asks by either.

use crate::{support, version_3};
use containerd_dropins::config::{Mirror, Registry, RegistryHost};
use containerd_dropins::containerd::Release;
use containerd_dropins::diagnostic::{Code, Severity};
use containerd_dropins::k0s::assemble;
use containerd_dropins::migrate::{
    Fate, Options, Plan, RegistryPolicy, Target, plan, plan_drop_ins,
};
use containerd_dropins::registry::{
    CertsD, Conversion, HostsToml, Remark, RemarkKind, convert, diagnose, endpoints, endpoints_in,
    hosts_named, same_pulls, unneeded_mirrors,
};
use containerd_dropins::strategies::{self, hostile_texts, hosts_toml_texts, odd_registries};
use containerd_dropins::{Config, Document};
use proptest::prelude::*;

const OLD: Release = Release::new(1, 7, 24);
const NEW: Release = Release::new(2, 3, 3);

/// Settings in the form `HOST = ENDPOINT ENDPOINT …`, one entry a line; a line
/// `tls HOST = skip` or `tls HOST = CA CERT KEY` is one of `configs`.
pub fn settings(text: &str) -> Registry {
    let mut settings = Registry::default();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (name, values) = line.split_once('=').unwrap();
        let values: Vec<&str> = values.split_whitespace().collect();
        if let Some(host) = name.strip_prefix("tls ") {
            let mut config = RegistryHost::default();
            match values.as_slice() {
                ["skip"] => config.tls.insecure_skip_verify = Some(true),
                files => {
                    let file = |at: usize| files.get(at).filter(|file| **file != "-");
                    let file = |at: usize| file(at).map(|file| (*file).to_owned());
                    config.tls.ca_file = file(0);
                    config.tls.cert_file = file(1);
                    config.tls.key_file = file(2);
                }
            }
            settings.configs.insert(host.trim().to_owned(), config);
        } else {
            let mut mirror = Mirror::default();
            mirror.endpoint = Some(values.into_iter().map(str::to_owned).collect());
            settings.mirrors.insert(name.trim().to_owned(), mirror);
        }
    }
    settings
}

fn texts(conversion: &Conversion, to: Release) -> Vec<(String, String)> {
    let files = conversion.files.iter();
    files
        .map(|file| (file.path.clone(), file.file.to_toml(to)))
        .collect()
}

fn certs_d(files: &[(String, String)]) -> CertsD {
    let files = files
        .iter()
        .map(|(path, text)| (path.as_str(), text.as_str()));
    CertsD::new("/certs.d", files)
}

/// The endpoints as text: URL, and what TLS is told.
fn shown(list: &[containerd_dropins::registry::Endpoint]) -> Vec<String> {
    let one = |endpoint: &containerd_dropins::registry::Endpoint| {
        let mut text = endpoint.to_string();
        for ca in &endpoint.ca {
            text.push_str(&format!(" ca={ca}"));
        }
        for client in &endpoint.client {
            text.push_str(&format!(" client={}", client.certificate));
        }
        if endpoint.skip_verify {
            text.push_str(" skip");
        }
        if endpoint.https_first {
            text.push_str(" https-first");
        }
        text
    };
    list.iter().map(one).collect()
}

#[track_caller]
fn tries(text: &str, host: &str, expected: &[&str]) {
    assert_eq!(
        shown(&endpoints(&settings(text), host, OLD).unwrap()),
        expected
    );
}

#[test]
fn what_mirrors_lead_to() {
    let text = "
        docker.io = m.example http://h.example:5000/proxy/ https://registry-1.docker.io
        quay.io = quay.io a.example
        empty.example =
        localhost:5000 = m.example
        * = any.example/v2
        tls m.example = skip
        tls h.example:5000 = /ca
        tls quay.io = /ca /cert /key
    ";
    tries(
        text,
        "docker.io",
        &[
            "https://m.example/v2 skip",
            "http://h.example:5000/proxy",
            "https://registry-1.docker.io/v2",
            "https://registry-1.docker.io/v2",
        ],
    );
    tries(
        text,
        "quay.io",
        &[
            "https://quay.io/v2 ca=/ca client=/cert",
            "https://a.example/v2",
        ],
    );
    tries(text, "empty.example", &["https://empty.example/v2"]);
    tries(
        text,
        "localhost:5000",
        &["https://m.example/v2 skip", "http://localhost:5000/v2"],
    );
    tries(
        text,
        "gcr.io",
        &["https://any.example/v2", "https://gcr.io/v2"],
    );
    tries(text, "any.example", &["https://any.example/v2"]);
}

#[test]
fn containerd_2_does_not_read_tls() {
    let settings = settings("tls m.example = skip");
    let list = endpoints(&settings, "m.example", NEW).unwrap();
    assert_eq!(shown(&list), ["https://m.example/v2"]);
}

#[test]
fn what_makes_every_pull_fail() {
    let broken = settings("docker.io = https://%zz\ntls gcr.io = - /cert");
    assert!(endpoints(&broken, "docker.io", OLD).is_err());
    assert!(endpoints(&broken, "gcr.io", OLD).is_err());
    assert!(endpoints(&broken, "quay.io", OLD).is_ok());
}

#[track_caller]
fn asks(file: &str, host: &str, release: Release, expected: &[&str]) {
    let files = [("_default/hosts.toml".to_owned(), file.to_owned())];
    assert_eq!(shown(&certs_d(&files).endpoints(host, release)), expected);
}

#[test]
fn what_a_hosts_toml_leads_to() {
    let file = "
        server = \"https://up.example\"
        ca = [\"a.pem\", \"/b.pem\"]
        [host.\"z.example\"]
        skip_verify = true
        [host.\"http://a.example:80/x/../y/\"]
        skip_verify = true
        [host.\"http://a.example:81\"]
        skip_verify = true
        [host.\"https://o.example/raw\"]
        override_path = true
        [host.\"https://p.example/raw\"]
        client = [[\"c\", \"k\"], \"both\"]
    ";
    let expected = [
        "https://z.example/v2 skip",
        "http://a.example:80/y/v2",
        "http://a.example:81/v2 skip https-first",
        "https://o.example/raw",
        "https://p.example/raw/v2 client=/certs.d/_default/c client=/certs.d/_default/both",
        "https://up.example/v2 ca=/certs.d/_default/a.pem ca=/b.pem",
    ];
    asks(file, "gcr.io", OLD, &expected);
    asks(file, "gcr.io", NEW, &expected);
}

#[test]
fn where_the_name_leads() {
    let file = "skip_verify = true\n[host]\n";
    asks(
        file,
        "docker.io",
        OLD,
        &["https://registry-1.docker.io/v2 skip"],
    );
    asks(file, "gcr.io:5000", NEW, &["https://gcr.io:5000/v2 skip"]);
    asks(
        "[host]\n",
        "localhost:5000",
        NEW,
        &["http://localhost:5000/v2 skip https-first"],
    );
    asks("[host]\n", "localhost:80", NEW, &["http://localhost:80/v2"]);
    asks("[host]\n", "localhost", NEW, &["https://localhost/v2 skip"]);
    asks(
        "[host]\n",
        "127.0.0.1:5000",
        Release::new(1, 7, 0),
        &["http://127.0.0.1:5000/v2"],
    );
}

#[test]
fn a_file_that_a_release_cannot_read_counts_for_nothing() {
    let upstream = ["https://gcr.io/v2"];
    let mirror = ["https://m.example/v2", "https://gcr.io/v2"];
    let referrers = "[host.\"https://m.example\"]\ncapabilities = [\"pull\", \"referrers\"]\n";
    asks(referrers, "gcr.io", OLD, &upstream);
    asks(referrers, "gcr.io", NEW, &mirror);
    asks(
        "[host.\"https://m.example\"]\ncapabilities = [\"fly\"]\n",
        "gcr.io",
        NEW,
        &upstream,
    );
    asks(
        "[host.\"https://m.example\"]\ndial_timeout = \"soon\"\n",
        "gcr.io",
        NEW,
        &upstream,
    );
    asks(
        "[host.\"https://m.example\"]\ndial_timeout = \"soon\"\n",
        "gcr.io",
        OLD,
        &mirror,
    );
    asks("[host.\"https://%zz\"]\n", "gcr.io", NEW, &upstream);
    asks("host = 5\n", "gcr.io", NEW, &upstream);
    asks("", "gcr.io", NEW, &upstream);
    // containerd 2.x sees tables only.
    let inline = "[host]\n\"https://m.example\" = { capabilities = [\"pull\", \"resolve\"] }\n";
    asks(inline, "gcr.io", OLD, &mirror);
    asks(inline, "gcr.io", NEW, &upstream);
    // go-toml 1.9 stumbles over brackets in the name of a table.
    let address = "[host.\"https://[fd00::1]\"]\n";
    asks(address, "gcr.io", OLD, &upstream);
    asks(
        address,
        "gcr.io",
        NEW,
        &["https://[fd00::1]/v2", "https://gcr.io/v2"],
    );
    // And takes a file without hosts for a broken one.
    asks("server = \"https://m.example\"\n", "gcr.io", OLD, &upstream);
    asks(
        "server = \"https://m.example\"\n",
        "gcr.io",
        NEW,
        &mirror[..1],
    );
}

#[test]
fn dockers_certificate_files_count_where_there_is_no_hosts_toml() {
    let files = ["x.crt", "y.cert", "y.key", "z.txt"].map(|name| format!("gcr.io/{name}"));
    let files = files.iter().map(|path| (path.as_str(), "…"));
    let list = CertsD::new("/certs.d/", files).endpoints("gcr.io", NEW);
    assert_eq!(
        shown(&list),
        ["https://gcr.io/v2 ca=/certs.d/gcr.io/x.crt client=/certs.d/gcr.io/y.cert"]
    );
    assert_eq!(
        list[0].client[0].key.as_deref(),
        Some("/certs.d/gcr.io/y.key")
    );
}

#[test]
fn the_first_folder_counts() {
    let file = |path: &str, server: &str| {
        (
            path.to_owned(),
            format!("server = \"https://{server}\"\n[host]\n"),
        )
    };
    let all = [
        file("gcr.io_5000_/hosts.toml", "a.example"),
        file("gcr.io:5000/hosts.toml", "b.example"),
        file("_default/hosts.toml", "c.example"),
        file("[::1]_5000_/hosts.toml", "d.example"),
        file("[:_1]_/hosts.toml", "e.example"),
    ];
    let server = |files: &[(String, String)], host: &str| {
        shown(&certs_d(files).endpoints(host, NEW)).remove(0)
    };
    assert_eq!(server(&all, "gcr.io:5000"), "https://a.example/v2");
    assert_eq!(server(&all[1..], "gcr.io:5000"), "https://b.example/v2");
    assert_eq!(server(&all[2..], "gcr.io:5000"), "https://c.example/v2");
    assert_eq!(server(&all, "gcr.io"), "https://c.example/v2");
    assert_eq!(server(&all, "[::1]:5000"), "https://d.example/v2");
    assert_eq!(server(&all, "[::1]"), "https://e.example/v2");
    // `_default` in one directory before a folder in the next.
    let roots = [certs_d(&all[2..3]), certs_d(&all[..1])];
    assert_eq!(
        shown(&endpoints_in(&roots, "gcr.io:5000", NEW)),
        ["https://c.example/v2"]
    );
    assert_eq!(
        shown(&endpoints_in(&roots[1..], "quay.io", NEW)),
        ["https://quay.io/v2"]
    );
}

/// The files of a conversion for containerd 2.3, by path, after each other.
fn converted(text: &str) -> String {
    let conversion = convert(&settings(text), OLD, NEW).unwrap();
    let changes = |remark: &&Remark| {
        let kept = [RemarkKind::PathWithoutV2, RemarkKind::PartLeftOut];
        !kept.contains(&remark.kind)
    };
    let changed: Vec<&Remark> = conversion.remarks.iter().filter(changes).collect();
    assert!(changed.is_empty(), "{text}: {changed:?}");
    let files = texts(&conversion, NEW);
    conversion.check(&certs_d(&files), NEW).unwrap();
    files
        .iter()
        .map(|(path, text)| format!("## {path}\n{text}"))
        .collect()
}

#[test]
fn mirrors_become_hosts_in_their_order() {
    let found = converted("docker.io = https://b.example/proxy a.example http://10.0.0.1:5000");
    let expected = r#"## docker.io/hosts.toml
server = "https://registry-1.docker.io"

[host."https://b.example/proxy"]
capabilities = ["pull", "resolve", "referrers"]
override_path = true

[host."https://a.example"]
capabilities = ["pull", "resolve", "referrers"]

[host."http://10.0.0.1:5000"]
capabilities = ["pull", "resolve", "referrers"]
"#;
    assert_eq!(found, expected);
}

/// Where an endpoint has the name of the registry host, nothing is asked after
/// the last of them.
#[test]
fn the_last_endpoint_is_the_server() {
    let found = converted("h.example = m.example h.example last.example/p");
    let expected = r#"## h.example/hosts.toml
server = "https://last.example/p"
capabilities = ["pull", "resolve", "referrers"]
override_path = true

[host."https://m.example"]
capabilities = ["pull", "resolve", "referrers"]

[host."https://h.example"]
capabilities = ["pull", "resolve", "referrers"]
"#;
    assert_eq!(found, expected);
}

/// TLS is by endpoint, so it goes wherever the endpoint is asked; a folder for
/// it would hide `_default`, whose hosts it therefore has as well.
#[test]
fn tls_goes_to_every_place_of_its_host() {
    let found = converted("* = m.example\ntls gcr.io = skip\ntls m.example = /ca");
    let expected = r#"## _default/hosts.toml
[host."https://m.example"]
ca = "/ca"
capabilities = ["pull", "resolve", "referrers"]
## gcr.io/hosts.toml
server = "https://gcr.io"
skip_verify = true

[host."https://m.example"]
ca = "/ca"
capabilities = ["pull", "resolve", "referrers"]
## m.example/hosts.toml
server = "https://m.example"
ca = "/ca"
"#;
    assert_eq!(found, expected);
}

#[test]
fn an_empty_list_keeps_the_mirror_of_all_hosts_away() {
    let found = converted("* = m.example\ngcr.io =");
    assert!(
        found.contains("## gcr.io/hosts.toml\nserver = \"https://gcr.io\"\n"),
        "{found}"
    );
}

/// containerd 1.7 reads no file without a table `host`, and no IPv6 address in
/// the name of a table.
#[test]
fn containerd_1_has_its_own_form() {
    let conversion = convert(
        &settings("gcr.io = http://[fd00::1]:5000 a.example\ntls quay.io = skip"),
        OLD,
        OLD,
    )
    .unwrap();
    let files = texts(&conversion, OLD);
    conversion.check(&certs_d(&files), OLD).unwrap();
    assert_eq!(
        files[0].1,
        r#"server = "https://gcr.io"

[host]
"http://[fd00::1]:5000".capabilities = ["pull", "resolve"]
"https://a.example".capabilities = ["pull", "resolve"]
"#
    );
    assert_eq!(
        files[1].1,
        "server = \"https://quay.io\"\nskip_verify = true\n\n[host]\n"
    );
}

#[test]
fn folders_of_hosts_with_ports() {
    let found =
        converted("gcr.io:5000 = m.example\n[::1]:80 = m.example\nlocalhost:5000 = m.example");
    let paths: Vec<&str> = found
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
        .collect();
    assert_eq!(
        paths,
        [
            "[::1]_80_/hosts.toml",
            "gcr.io_5000_/hosts.toml",
            "localhost_5000_/hosts.toml"
        ]
    );
    assert!(
        found.contains("server = \"http://localhost:5000\"\n"),
        "{found}"
    );
}

#[track_caller]
fn remarks(text: &str, expected: &[(&str, RemarkKind)]) -> Vec<(String, String)> {
    let conversion = convert(&settings(text), OLD, NEW).unwrap();
    let found: Vec<(String, RemarkKind)> = conversion
        .remarks
        .iter()
        .map(|remark| (remark.path.join(" "), remark.kind))
        .collect();
    let expected: Vec<(String, RemarkKind)> = expected
        .iter()
        .map(|(path, kind)| ((*path).to_owned(), *kind))
        .collect();
    assert_eq!(found, expected);
    let files = texts(&conversion, NEW);
    conversion.check(&certs_d(&files), NEW).unwrap();
    files
}

#[test]
fn what_a_conversion_changes_is_said() {
    use RemarkKind::*;
    let files = remarks(
        "gcr.io = https://m.example/",
        &[("mirrors gcr.io", FirstEffect)],
    );
    assert!(
        files[0].1.contains("[host.\"https://m.example\"]\n"),
        "{files:?}"
    );
    let files = remarks(
        "gcr.io = ftp://m.example",
        &[
            ("mirrors gcr.io", NeverAsked),
            ("mirrors gcr.io", Redundant),
        ],
    );
    assert_eq!(files, []);
    // Its name kept the registry itself from being asked.
    let _ = remarks(
        "gcr.io = ftp://gcr.io https://m.example",
        &[("mirrors gcr.io", FirstEffect)],
    );
    // For all hosts the same as none.
    let files = remarks("* =", &[("mirrors *", Redundant)]);
    assert_eq!(files, []);
    // Asked anyway, and as it is.
    let files = remarks(
        "gcr.io = https://gcr.io\nquay.io =",
        &[
            ("mirrors gcr.io", Redundant),
            ("mirrors quay.io", Redundant),
        ],
    );
    assert_eq!(files, []);
    let files = remarks(
        "gcr.io = http://gcr.io\ntls gcr.io = skip",
        &[("configs gcr.io tls", PlainHttp)],
    );
    assert_eq!(files[0].1, "server = \"http://gcr.io\"\n");
    let files = remarks(
        "https://gcr.io = m.example\nindex.docker.io = m.example",
        &[
            ("mirrors https://gcr.io", NeverLookedUp),
            ("mirrors index.docker.io", NeverLookedUp),
        ],
    );
    assert_eq!(files, []);
    let files = remarks("gcr.io = https://[::1", &[("mirrors gcr.io", NotOneUrl)]);
    assert_eq!(files, []);
    // Once for each mirror, however many there are.
    let files = remarks(
        "gcr.io = https://a.example,https://b.example https//c.example",
        &[("mirrors gcr.io", NotOneUrl)],
    );
    assert_eq!(files, []);
    let files = remarks(
        "tls gcr.io = certs/ca.pem",
        &[("configs gcr.io tls", RelativePath)],
    );
    assert!(
        files[0].1.contains("ca = \"/var/lib/k0s/certs/ca.pem\"\n"),
        "{files:?}"
    );
    let files = remarks(
        "tls gcr.io = /ca /cert",
        &[("configs gcr.io tls", FirstEffect)],
    );
    assert!(!files[0].1.contains("/cert"), "{files:?}");
    // Before it looks at the scheme of the endpoint that the settings are of.
    let files = remarks(
        "gcr.io = ftp://m.example\ntls m.example = /ca /cert",
        &[
            ("mirrors gcr.io", NeverAsked),
            ("configs m.example tls", FirstEffect),
            ("mirrors gcr.io", Redundant),
        ],
    );
    assert!(!files[0].1.contains("/cert"), "{files:?}");
    remarks(
        "tls https://gcr.io = skip",
        &[("configs https://gcr.io tls", NeverLookedUp)],
    );
    remarks(
        "docker.io = http://m\ntls docker.io = skip",
        &[("configs docker.io tls", NeverLookedUp)],
    );
}

/// Every way by which registry settings come to a target: a legacy file for
/// both kinds of containerd, existing drop-ins that stay, are carried over, or
/// are of the target's version already; mirrors kept and converted.
fn routes(section: &str) -> Vec<(String, Plan)> {
    let text = |version: i64| {
        let (images, rest) = match version {
            2 => ("io.containerd.grpc.v1.cri", ""),
            _ => ("io.containerd.cri.v1.images", "\n"),
        };
        let section = section.replace("REGISTRY", &format!("plugins.{images:?}.registry"));
        format!("version = {version}\n{section}{rest}")
    };
    let mut routes = Vec::new();
    for policy in [
        RegistryPolicy::Auto,
        RegistryPolicy::Keep,
        RegistryPolicy::Convert,
    ] {
        let options = Options::default().registry(policy);
        for (k0s, version) in [
            (version_3::OLD, 2),
            (version_3::NEW, 2),
            (version_3::NEW, 3),
        ] {
            let (text, target) = (text(version), Target::find(k0s).unwrap());
            let name = format!("{k0s} version {version} {policy:?}");
            let legacy = Document::parse("/etc/k0s/containerd.toml", text.as_bytes()).unwrap();
            routes.push((name.clone(), plan(&legacy, &[], &target, &options)));
            let directory = "/etc/k0s/containerd.d";
            let path = format!("{directory}/registry.toml");
            let drop_ins = [Document::parse(path, text.as_bytes()).unwrap()];
            let existing = support::existing(directory, &drop_ins, &[]);
            routes.push((
                format!("drop-in {name}"),
                plan_drop_ins(&existing, &target, &options),
            ));
        }
    }
    routes
}

/// Whether a finding is of the diagnosis.
fn is_diagnosis(code: Code) -> bool {
    matches!(
        code,
        Code::RegistryKey
            | Code::RegistryKeySpelling
            | Code::RegistryEndpoint
            | Code::RegistryEndpointNotAsked
            | Code::RegistryEndpointSlash
            | Code::RegistryEndpointPath
            | Code::RegistryEndpointPart
    )
}

/// On every route there is one such finding, with the cure in its words.
#[track_caller]
fn told(section: &str, code: Code, words: &[&str]) {
    for (route, plan) in routes(section) {
        let found = plan.findings.iter();
        let found: Vec<_> = found.filter(|finding| is_diagnosis(finding.code)).collect();
        let [finding] = found.as_slice() else {
            panic!("{route}: {section}{:?}", plan.findings)
        };
        assert_eq!(finding.code, code, "{route}: {section}");
        for word in words {
            assert!(finding.message.contains(word), "{route}: {word}: {finding}");
        }
        let line = finding.span.as_ref().unwrap().line;
        assert_eq!(line, 2, "{route}: {section}");
        let is_error = plan.severity() == Some(Severity::Error);
        assert_eq!(
            is_error,
            code.severity() == Severity::Error,
            "{route}: {:?}",
            plan.findings
        );
        for file in &plan.hosts_files {
            assert!(!file.text().contains("example,"), "{}", file.text());
        }
    }
}

#[test]
fn credentials_under_a_name_that_is_never_asked() {
    let auth = |name: &str, cure: &str| {
        let section = format!("[REGISTRY.configs.{name:?}.auth]\nusername = \"robot\"\n");
        let cure = format!("registry.configs.{cure:?}.auth");
        told(&section, Code::RegistryKey, &[&cure]);
    };
    auth("docker.io", "registry-1.docker.io");
    auth("index.docker.io", "registry-1.docker.io");
    auth("https://index.docker.io/v1/", "registry-1.docker.io");
    auth("https://reg.example:5000", "reg.example:5000");
    auth("reg.example/proxy", "reg.example");
    for name in ["*", "*.example", "reg.example:port"] {
        let section = format!("[REGISTRY.configs.{name:?}.auth]\nusername = \"robot\"\n");
        told(&section, Code::RegistryKey, &["asks none called"]);
    }
    // Images of its own may be so called.
    let section = "[REGISTRY.configs.\"docker.io:443\".auth]\nusername = \"robot\"\n";
    told(
        section,
        Code::RegistryKeySpelling,
        &["registry-1.docker.io"],
    );
    // By way of `auths` as well.
    let section = "[REGISTRY.auths.\"https://index.docker.io/v1/\"]\nusername = \"robot\"\n";
    told(
        section,
        Code::RegistryKey,
        &["registry.configs.\"registry-1.docker.io\".auth"],
    );
}

/// What is well is said nothing of.
#[test]
fn settings_that_do_what_they_say() {
    let sections = [
        "[REGISTRY.configs.\"registry-1.docker.io\".auth]\nusername = \"robot\"\n",
        "[REGISTRY.configs.\"reg.example:5000\".auth]\nusername = \"robot\"\n",
        "[REGISTRY.mirrors.\"docker.io\"]\nendpoint = [\"https://docker.io\"]\n[REGISTRY.configs.\"docker.io\".auth]\nusername = \"robot\"\n",
        "[REGISTRY.mirrors.\"*\"]\nendpoint = [\"m\", \"m.example:5000\", \"http://[::1]:5000/v2/x\"]\n[REGISTRY.configs.m.auth]\nusername = \"robot\"\n",
        "[REGISTRY.configs.\"docker.io\".auth]\nusername = \"\"\n",
    ];
    for section in sections {
        for (route, plan) in routes(section) {
            let mut codes = plan.findings.iter().map(|finding| finding.code);
            assert!(
                !codes.any(is_diagnosis),
                "{route}: {section}{:?}",
                plan.findings
            );
        }
    }
}

#[test]
fn tls_settings_under_a_name_that_is_never_asked() {
    for (name, cure) in [
        ("docker.io", "registry.configs.\"registry-1.docker.io\".tls"),
        (
            "https://reg.example",
            "registry.configs.\"reg.example\".tls",
        ),
    ] {
        let section = format!("[REGISTRY.configs.{name:?}.tls]\nca_file = \"/ca.pem\"\n");
        for (route, plan) in routes(&section) {
            let found = plan.findings.iter();
            let keys: Vec<_> = found.filter(|one| one.code == Code::RegistryKey).collect();
            // Files of version 3 are never read for it, which is told by itself.
            if route.contains("version 3") {
                continue;
            }
            assert!(
                keys.len() == 1 && keys[0].message.contains(cure),
                "{route}: {keys:?}"
            );
            assert!(plan.is_sound(), "{route}: {:?}", plan.findings);
            assert!(plan.hosts_files.is_empty(), "{route}");
        }
    }
}

#[test]
fn mirrors_under_a_name_that_no_image_has() {
    let mirror = |name: &str, words: &[&str]| {
        let section = format!("[REGISTRY.mirrors.{name:?}]\nendpoint = [\"https://m.example\"]\n");
        told(&section, Code::RegistryKey, words);
        for (route, plan) in routes(&section) {
            let is_2 = route.contains(version_3::NEW);
            let is_written = plan
                .drop_ins
                .iter()
                .any(|file| file.text().contains("mirrors"));
            assert!(!is_2 || !is_written, "{route}");
        }
    };
    mirror("https://reg.example", &["registry.mirrors.\"reg.example\""]);
    mirror(
        "reg.example:5000/proxy",
        &["registry.mirrors.\"reg.example:5000\""],
    );
    mirror("index.docker.io", &["registry.mirrors.\"docker.io\""]);
    mirror(
        "https://registry-1.docker.io",
        &["registry.mirrors.\"docker.io\""],
    );
    mirror("*.example", &["only * by itself"]);
    let section = "[REGISTRY.mirrors.\"Docker.io\"]\nendpoint = [\"https://m.example\"]\n";
    told(section, Code::RegistryKeySpelling, &["\"docker.io\""]);
}

#[test]
fn endpoints_that_are_not_what_they_look_like() {
    let endpoint = |text: &str, code: Code, words: &[&str]| {
        let section = format!("[REGISTRY.mirrors.\"reg.example\"]\nendpoint = [{text:?}]\n");
        told(&section, code, words);
    };
    for text in [
        "https://m.example:port",
        "http://${NODE}:5000",
        "https://a.example https://b.example",
    ] {
        endpoint(
            text,
            Code::RegistryEndpoint,
            &["refuses every pull", "registry itself"],
        );
    }
    endpoint(
        "https//m.example",
        Code::RegistryEndpoint,
        &["\"https\" for its host", "://"],
    );
    endpoint(
        "https://a.example,https://b.example",
        Code::RegistryEndpoint,
        &["\"a.example,https:\" for its host", "a string of its own"],
    );
    endpoint(
        "a.example,b.example",
        Code::RegistryEndpoint,
        &["a string of its own"],
    );
    endpoint(
        "ftp://m.example",
        Code::RegistryEndpointNotAsked,
        &["http and https only"],
    );
    endpoint("", Code::RegistryEndpointNotAsked, &["empty"]);
    endpoint(
        "https://m.example/proxy",
        Code::RegistryEndpointPath,
        &["no /v2"],
    );
    endpoint(
        "https://u:hunter2@m.example",
        Code::RegistryEndpointPart,
        &["registry.configs.\"m.example\".auth"],
    );
}

/// Converted, the endpoint is asked as it should be.
#[test]
fn an_endpoint_that_ends_in_a_slash() {
    let section = "[REGISTRY.mirrors.\"reg.example\"]\nendpoint = [\"https://m.example/\"]\n";
    for (route, plan) in routes(section) {
        let is = |code: Code| plan.findings.iter().filter(|one| one.code == code).count();
        let converted = usize::from(!plan.hosts_files.is_empty());
        assert_eq!(is(Code::RegistryEndpointSlash), 1 - converted, "{route}");
        assert_eq!(is(Code::FirstEffect), converted, "{route}");
        let all = plan
            .findings
            .iter()
            .filter(|one| one.message.contains("slash"));
        assert!(
            all.clone().all(|one| one.message.contains("/v2")),
            "{route}"
        );
        assert_eq!(all.count(), 1, "{route}");
    }
}

/// With containerd 2.x a mirror that changes nothing forces local pulls and is
/// warned of; with 1.x it is harmless, and the user's.
#[test]
fn a_mirror_that_changes_nothing_goes_with_containerd_2() {
    let check = |section: &str, name: &str, is_needed: bool| {
        for (route, plan) in routes(section) {
            assert!(plan.is_sound(), "{route}: {:?}", plan.findings);
            // Drop-ins that stay are not written anew; files are no mirrors.
            let stays = plan.drop_ins.is_empty() && route.contains(version_3::OLD);
            if stays || !plan.hosts_files.is_empty() || route.contains("Convert") {
                continue;
            }
            let is_written = plan.drop_ins.iter().any(|file| file.text().contains(name));
            let is_2 = route.contains(version_3::NEW);
            assert_eq!(is_written, is_needed || !is_2, "{route}: {section}");
            let is_gone = |fate: &Fate| *fate == Fate::EqualsTargetDefault;
            let entries = plan.ledger.iter().filter(|entry| entry.key.contains(name));
            let reasons: Vec<&str> = entries
                .filter(|entry| is_gone(&entry.fate))
                .map(|entry| entry.reason.as_str())
                .collect();
            if !is_written {
                assert_eq!(reasons.len(), 1, "{route}: {:?}", plan.ledger);
                assert!(
                    reasons[0].ends_with("asks the same endpoints without it"),
                    "{reasons:?}"
                );
            }
        }
    };
    let mirror = |name: &str, endpoints: &str| {
        format!("[REGISTRY.mirrors.{name:?}]\nendpoint = [{endpoints}]\n")
    };
    let hub = mirror("docker.io", "\"https://registry-1.docker.io\"");
    check(&hub, "docker.io", false);
    check(&mirror("quay.io", "\"https://quay.io\""), "quay.io", false);
    check(&mirror("quay.io", ""), "quay.io", false);
    check("[REGISTRY.mirrors.\"quay.io\"]\n", "quay.io", false);
    // It keeps the mirror of all others away.
    let any = mirror("*", "\"https://m.example\"");
    check(&format!("{hub}{any}"), "docker.io", true);
    // Other settings stay.
    let other = mirror("gcr.io", "\"https://m.example\"");
    let auth = "[REGISTRY.configs.\"quay.io\".auth]\nusername = \"robot\"\n";
    check(&format!("{hub}{other}{auth}"), "docker.io", false);
    check(&format!("{hub}{other}{auth}"), "gcr.io", true);
    check(&format!("{hub}{auth}"), "quay.io", true);
    check(&mirror("quay.io", "\"http://quay.io\""), "quay.io", true);
}

/// A remark names where the setting belongs.
#[test]
fn cures_are_paths() {
    let registry = settings("https://gcr.io = m.example\ntls docker.io = skip");
    let remarks = diagnose(&registry);
    let cures: Vec<_> = remarks
        .iter()
        .map(|remark| remark.cure.clone().unwrap())
        .collect();
    assert_eq!(cures[0], ["mirrors", "gcr.io"]);
    assert_eq!(cures[1], ["configs", "registry-1.docker.io", "tls"]);
}

/// What `*` has stands in every file that hides it; within reason.
#[test]
fn files_stay_in_proportion() {
    let text = |hosts: usize| {
        let hosts: Vec<String> = (0..hosts).map(|at| format!("h{at}.example")).collect();
        let tls = hosts.iter().map(|host| format!("\ntls {host} = skip"));
        format!("* = {}{}", hosts.join(" "), tls.collect::<String>())
    };
    assert!(convert(&settings(&text(90)), OLD, NEW).is_ok());
    assert!(convert(&settings(&text(600)), OLD, NEW).is_err());
}

/// No user of a URL goes to a file that anyone may read; containerd never sends
/// it either.
#[test]
fn users_of_urls_stay_away() {
    let found = converted("gcr.io = https://user:hunter2@m.example/p");
    assert!(
        !found.contains("hunter2") && found.contains("\"https://m.example/p\""),
        "{found}"
    );
}

fn registries() -> impl Strategy<Value = Registry> {
    prop_oneof![1 => strategies::registries(), 3 => odd_registries()]
}

proptest! {
    /// Whatever is converted makes the same pulls, for every host named
    /// anywhere and one named nowhere; what is not is said.
    #[test]
    fn a_conversion_makes_the_same_pulls(settings in registries(), new in any::<bool>()) {
        let to = if new { NEW } else { OLD };
        let conversion = convert(&settings, OLD, to).unwrap();
        let files = texts(&conversion, to);
        let certs_d = certs_d(&files);
        prop_assert_eq!(certs_d.errors().count(), 0);
        prop_assert!(conversion.check(&certs_d, to).is_ok(), "{:?}\n{:?}", settings, files);
        let excuses = |remark: &Remark| matches!(
            remark.kind,
            RemarkKind::NotOneUrl
                | RemarkKind::NotConvertible
                | RemarkKind::FirstEffect
                | RemarkKind::RelativePath
        );
        if !conversion.remarks.iter().any(excuses) {
            let mut hosts = hosts_named(&settings);
            hosts.push("nowhere.example:5000".to_owned());
            for host in hosts {
                let before = endpoints(&settings, &host, OLD).unwrap();
                let after = certs_d.endpoints(&host, to);
                prop_assert!(same_pulls(&before, &after), "{}: {:?} {:?}", host, shown(&before), shown(&after));
            }
        }
        for (_, text) in &files {
            prop_assert!(!text.contains("u:p@"), "{}", text);
        }
    }

    /// The same by way of a plan: what it writes makes the same pulls, says what
    /// became of every key, and has nothing left to convert.
    #[test]
    fn a_plan_makes_the_same_pulls(settings in registries(), new in any::<bool>(), convert_it in any::<bool>()) {
        let (k0s, release) = if new { (version_3::NEW, NEW) } else { (version_3::OLD, OLD) };
        let mut config = Config::default();
        config.version = Some(2);
        config.plugins.cri.registry = settings.clone();
        let text = config.to_toml();
        let legacy = Document::parse("/etc/k0s/containerd.toml", text.as_bytes()).unwrap();
        let policy = if convert_it { RegistryPolicy::Convert } else { RegistryPolicy::Auto };
        let options = Options::default().registry(policy);
        let plan = plan(&legacy, &[], &Target::find(k0s).unwrap(), &options);
        prop_assert!(plan.verified, "{}\n{:?}", text, plan.findings);
        let keys = support::leaves(&support::parse(&text)).len();
        let tables = plan.ledger.iter().filter(|entry| entry.value.expose().as_table().is_some());
        prop_assert_eq!(plan.ledger.len() - tables.count(), keys, "{}\n{:?}", text, plan.ledger);
        // What is in effect of drop-ins and files together.
        let set = plan.drop_in_set().unwrap();
        let effective = assemble(&plan.target.release, "pause", &set).unwrap().effective();
        let section = if new { "io.containerd.cri.v1.images" } else { "io.containerd.grpc.v1.cri" };
        let path = effective.get(&["plugins", section, "registry", "config_path"]);
        let has_path = path.is_some_and(|path| path.as_str() != Some(""));
        let converted = !plan.hosts_files.is_empty();
        // Or it keeps containerd 2.2 and later from directories of their own.
        let owed = plan.companions.iter().any(|companion| companion.key.ends_with("config_path"));
        prop_assert_eq!(has_path, owed, "{:?}", plan.companions);
        prop_assert!(has_path || !converted);
        let refused = |remark: &Remark| matches!(
            remark.kind,
            RemarkKind::NotOneUrl
                | RemarkKind::NotConvertible
                | RemarkKind::FirstEffect
                | RemarkKind::RelativePath
                | RemarkKind::WithoutEffect
        );
        let said = convert(&settings, OLD, release).unwrap().remarks.iter().any(refused);
        if converted && !said {
            let files = plan.hosts_files.iter().map(|file| (file.name.as_str(), file.text()));
            let certs_d = CertsD::new("/etc/k0s/containerd.d/certs.d", files);
            for host in hosts_named(&settings) {
                let before = endpoints(&settings, &host, OLD).unwrap();
                prop_assert!(same_pulls(&before, &certs_d.endpoints(&host, release)), "{}", host);
            }
        }
        // Mirrors beside config_path keep CRI from starting.
        for drop_in in &plan.drop_ins {
            prop_assert!(!has_path || !drop_in.text().contains("mirrors") && !drop_in.text().contains(".tls]"), "{}", drop_in.text());
        }
    }

    /// Without the mirrors that are not needed the same is asked, or the same
    /// refused, for every host named anywhere and one named nowhere.
    #[test]
    fn unneeded_mirrors_are_not_missed(settings in registries(), new in any::<bool>()) {
        let to = if new { NEW } else { OLD };
        let mut left = settings.clone();
        for name in unneeded_mirrors(&settings, OLD, to) {
            left.mirrors.remove(&name).unwrap();
        }
        let mut hosts = hosts_named(&settings);
        hosts.push("nowhere.example:5000".to_owned());
        for host in hosts {
            for release in [OLD, to] {
                let before = endpoints(&settings, &host, release);
                let after = endpoints(&left, &host, release);
                let same = match (&before, &after) {
                    (Ok(before), Ok(after)) => same_pulls(before, after),
                    (before, after) => before == after,
                };
                prop_assert!(same, "{}: {:?} {:?}", host, before, after);
            }
        }
        prop_assert_eq!(unneeded_mirrors(&left, OLD, to), Vec::<String>::new());
    }

    /// A file survives being written and read again, for both parsers.
    #[test]
    fn a_file_that_is_written_reads_the_same(settings in registries()) {
        for to in [OLD, NEW] {
            for file in convert(&settings, OLD, to).unwrap().files {
                prop_assert_eq!(HostsToml::parse(&file.file.to_toml(to), to).unwrap(), file.file);
            }
        }
    }

    /// A file in any notation that is read for a release and written for it has
    /// that release ask the same.
    #[test]
    fn a_file_that_is_read_asks_the_same_when_written(text in hosts_toml_texts()) {
        let ask = |text: &str, release| {
            let files = [("reg.example/hosts.toml".to_owned(), text.to_owned())];
            let mut urls = Vec::new();
            for endpoint in certs_d(&files).endpoints("reg.example", release) {
                // What is asked again says nothing else.
                if !urls.contains(&endpoint.to_string()) {
                    urls.push(endpoint.to_string());
                }
            }
            urls
        };
        for release in [OLD, NEW] {
            match HostsToml::parse(&text, release) {
                Ok(file) => {
                    let written = file.to_toml(release);
                    prop_assert_eq!(ask(&written, release), ask(&text, release), "{}\n{}", text, written);
                    prop_assert_eq!(HostsToml::parse(&written, release).unwrap(), file);
                }
                // What it ignores.
                Err(_) => prop_assert_eq!(ask(&text, release), ask("", release), "{}", text),
            }
        }
    }

    #[test]
    fn no_hosts_toml_panics(text in hostile_texts(), host in "\\PC{0,20}") {
        let files = [("_default/hosts.toml".to_owned(), text)];
        for release in [Release::new(1, 5, 0), OLD, NEW] {
            let _ = certs_d(&files).endpoints(&host, release);
        }
    }
}
