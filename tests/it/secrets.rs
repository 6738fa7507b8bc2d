//! Credentials, planted wherever a file may have one: nothing that is printed
//! repeats them.

use std::fmt::Debug;

use containerd_dropins::airgap::{self, ImageList};
use containerd_dropins::k0s::{DropInSet, Release, assemble, preflight};
use containerd_dropins::migrate::{
    Fate, Options, Plan, RegistryPolicy, Target, check, plan, plan_drop_ins,
};
use containerd_dropins::registry::{CertsD, HostsToml, convert};
use containerd_dropins::value::{Table, Value};
use containerd_dropins::{Config, Document};
use serde::Serialize;

use crate::support;
use crate::version_3::{NEW, OLD, long};
use crate::versions::leaves;

/// What is planted begins like this.
const SECRET: &str = "hunter";

/// A file with a credential in every place that comes to mind.
const PLANTED: &str = r#"version = 2
# the old password hunter01 is gone
oom_score = -999 # token: hunter02
[grpc]
  tcp_tls_key = "/key?password=hunter03"
[CRI]
  sandbox_image = "registry.example/pause:1"
  secret = "hunter04"
  unknown = { token = "hunter05", list = ["--password", "hunter06"] }
[CRI.registry.mirrors."docker.io"]
  # https://user:hunter07@mirror.example is the old one
  endpoint = ["https://user:hunter08@mirror.example", "http://user:hunter09@10.0.0.1:5000/"]
[CRI.registry.mirrors."https://user:hunter10@quay.io"]
  endpoint = ["https://m.example"]
[CRI.registry.configs."mirror.example".tls]
  ca_file = "/ca.pem" # password hunter11
[CRI.registry.configs."mirror.example".auth]
  username = "u"
  password = "hunter12"
  auth = "hunter13"
  identitytoken = "hunter14"
  # password = "hunter15"
  pasword = "hunter29"
[CRI.registry.configs."other.example"]
  auth = { password = "hunter16", extra_token = "hunter17" }
[CRI.registry.auths."https://user:hunter18@old.example"]
  password = "hunter19"
[CRI.registry.headers]
  Authorization = ["Basic hunter20"]
  X-Anything = ["hunter21"]
[CRI.containerd.runtimes.x]
  runtime_type = "io.containerd.x.v1"
[CRI.containerd.runtimes.x.options]
  Token = "hunter22"
  Args = ["--url=https://user:hunter23@h.example", "API_TOKEN=hunter24"]
[proxy_plugins.p]
  type = "snapshot"
  address = "/run/p.sock"
  password = "hunter25"
[stream_processors.s]
  returns = "x"
  path = "p"
  args = ["--token", "hunter26"]
  env = ["PASSWORD=hunter27"]
[CRI.registry.mirrors."gcr.io"]
  # see https://docs.example/x, and then https://robot:hunter30@m.example
  endpoint = ["robot:hunter31@mirror.example:5000", "https://a.example https://u:hunter32@b"]
[CRI.registry.configs."robot:hunter33@mirror.example"]
  auth = { username = "u" }
[proxy_plugins.q]
  type = "snapshot"
  address = "robot:hunter34@q.example"
[plugins."io.containerd.nobody.v1.x"]
  passphrase = "hunter35"
  api_key = "hunter36"
  url = "https://u:hunter37/b@h"
  client_secret = "hunter28"
  secret_key = "hunter38"
  aws_secret_access_key = "hunter39"
  db_pass = "hunter40"
  psk = "hunter41"
  jwt = "hunter42"
  pin = 70427
  args = ["-u", "admin:hunter43", "--registry-auth=hunter44"]
  ".dockerconfigjson" = "hunter45"
  password = { value = "hunter46", list = [["hunter47"]] }
  # docker login -p hunter48
  x = 1
[proxy_plugins."https://u:hunter49@h"]
  type = "snapshot"
  address = "https://h/x?pass=hunter50"
[CRI.containerd.runtimes."https://u:hunter51@h"]
  runtime_type = "io.containerd.x.v1"
[CRI.registry.configs."pem.example".tls]
  key_file = """-----BEGIN PRIVATE KEY-----
hunter52
-----END PRIVATE KEY-----
"""
  ca_file = "-----BEGIN PRIVATE KEY-----hunter53-----END PRIVATE KEY-----"
[timeouts]
  "a=hunter54" = "1s"
  password = "hunter55"
"#;

#[track_caller]
fn hides(what: &str, text: &str) {
    let found = text.find(SECRET);
    let around = found.map(|at| &text[at.saturating_sub(80)..(at + 20).min(text.len())]);
    assert_eq!(around, None, "{what}");
}

#[track_caller]
fn hides_all(what: &str, value: &(impl Debug + Serialize)) {
    hides(what, &format!("{value:?} {value:#?}"));
    hides(what, &serde_json::to_string(value).unwrap());
}

fn document(text: &str) -> Document {
    Document::parse("/etc/k0s/containerd.toml", text.as_bytes()).unwrap()
}

fn hides_plan(plan: &Plan) {
    let report = airgap::check(plan, &ImageList::parse("registry.k8s.io/pause:3.9\n"));
    hides("the airgap report", &report.to_string());
    hides_all("the airgap report", &report);
    hides("the report", &plan.to_string());
    hides_all("the plan", plan);
    hides_all("findings", &plan.findings);
    hides_all("the ledger", &plan.ledger);
    hides_all("changes", &plan.changes);
    for drop_in in &plan.drop_ins {
        assert!(
            drop_in.sensitive || !drop_in.text().contains(SECRET),
            "{}",
            drop_in.name
        );
        hides_all("a drop-in", drop_in);
        hides("a drop-in", drop_in.redacted_text());
    }
    for file in &plan.hosts_files {
        assert!(
            file.sensitive || !file.text().contains(SECRET),
            "{}",
            file.name
        );
        hides_all("a hosts.toml", file);
        hides("a hosts.toml", file.redacted_text());
    }
}

#[test]
fn no_plan_shows_a_credential() {
    let legacy = document(&long(PLANTED));
    for k0s in ["v1.26.0+k0s.0", "v1.27.1+k0s.0", OLD, NEW] {
        for policy in [
            RegistryPolicy::Auto,
            RegistryPolicy::Keep,
            RegistryPolicy::Convert,
        ] {
            let options = Options::default().registry(policy);
            let plan = plan(&legacy, &[], &Target::find(k0s).unwrap(), &options);
            hides_plan(&plan);
        }
    }
}

#[test]
fn what_is_kept_keeps_its_credentials() {
    let plan = support::migrate(&long(PLANTED), NEW);
    let text: String = plan.drop_ins.iter().map(|drop_in| drop_in.text()).collect();
    for kept in [12, 13, 14, 16, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28] {
        assert!(text.contains(&format!("{SECRET}{kept}")), "{kept}: {text}");
    }
    assert!(
        plan.hosts_files
            .iter()
            .all(|file| !file.text().contains("hunter08"))
    );
}

#[test]
fn no_plan_for_drop_ins_shows_a_credential() {
    let text = long(PLANTED);
    let drop_ins = [Document::parse("/etc/k0s/containerd.d/a.toml", text.as_bytes()).unwrap()];
    for k0s in [OLD, NEW] {
        let existing = support::existing("/etc/k0s/containerd.d", &drop_ins, &[]);
        hides_plan(&plan_drop_ins(
            &existing,
            &Target::find(k0s).unwrap(),
            &Options::default(),
        ));
    }
}

/// Names in lists, and tables outside of `plugins` that have ids of plugins.
#[test]
fn no_name_in_a_message_shows_a_credential() {
    let differ = "version = 2\n[plugins.\"io.containerd.service.v1.diff-service\"]\ndefault = [\"u:hunter01@h\"]\n";
    let table = "[\"a?hunter02\".\"io.containerd.shim.v1.manager\"]\nsocket_dir = \"/x\"\n[\"a?hunter02\".\"io.containerd.runtime.v2.task\"]\nplatforms = [\"a\"]\n";
    for k0s in [OLD, NEW] {
        hides_plan(&support::migrate(differ, k0s));
        for text in [differ, table] {
            hides_plan(&support::carried_over(&[("a.toml", text)], k0s));
        }
    }
    let plan = support::carried_over(&[("a.toml", &format!("version = 3\n{table}"))], NEW);
    assert!(plan.verified, "{:?}", plan.findings);
    let list = ImageList::parse("u:p@hunter03\nA/hunter04@h;\nA/HUNTER@h;\n");
    hides("a list", &format!("{list:?}"));
    assert!(!format!("{:?}", list.unreadable()).contains("HUNTER"));
}

/// Lists that are written in a way of their own.
#[test]
fn no_list_of_imports_shows_a_credential() {
    let entry = "docker login -p hunter01";
    let text = format!("version = 2\nimports = [\"{entry}\", \"https://u:hunter02@h\"]\n");
    for k0s in [OLD, NEW] {
        let plan = support::carried_over(&[("a.toml", &text)], k0s);
        hides_plan(&plan);
    }
}

/// What a person may put anywhere: into the place of any setting, whatever its
/// type, and of any that there is not.
#[test]
fn no_place_shows_a_credential() {
    // The names of settings are not secret, and what looks like a value may be one.
    let anywhere = [
        "docker login -p hunter01",
        "--registry-auth=hunter02",
        "https://u:hunter03@h",
        "https://h/x?pass=hunter04",
        "https://u:hunter05/x?y@h",
        "u:hunter06@h",
        "{{ pass | default \"hunter07\" }}",
        "-----BEGIN PRIVATE KEY-----\nhunter08\n",
        "a\u{202e}hunter09",
    ];
    let hidden = ["hunter10", "aHVudGVyMTE hunter11"];
    for (kind, form) in anywhere
        .map(|form| (Plant::InSetting, form))
        .into_iter()
        .chain([
            (Plant::Unknown, hidden[0]),
            (Plant::Unknown, hidden[1]),
            (Plant::Name, anywhere[2]),
            (Plant::Name, anywhere[5]),
            (Plant::Name, "password: hunter12"),
            (Plant::Name, "a\u{2028}hunter13"),
        ])
    {
        for (version, table) in [(2, kind.table(2, form)), (3, kind.table(3, form))] {
            let text = containerd_dropins::Exposed::table(&table).to_toml();
            let legacy = document(&text);
            hides_all("findings", &check(&legacy));
            hides("the config", &format!("{:?}", Config::read(&legacy)));
            hides(
                "the config",
                &serde_json::to_string(&Config::read(&legacy)).unwrap(),
            );
            hides("a table", &format!("{:?}", legacy.to_table().values()));
            for k0s in ["1.27.1", OLD, NEW] {
                let target = Target::find(k0s).unwrap();
                let options = Options::default().registry(RegistryPolicy::Convert);
                let plan = plan(&legacy, &[], &target, &options);
                hides_plan(&plan);
                let exposed = plan.exposed();
                assert!(
                    exposed.to_string().contains(SECRET) || exposed.ledger.len() > 40,
                    "{version} {form}"
                );
            }
        }
    }
}

/// What holds a converted key now is shown as the key itself is.
#[test]
fn names_of_what_a_key_becomes_are_exposed() {
    let table = "plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.\"Odd Name\"";
    let text = format!(
        "version = 2\n[{table}]\nruntime_type = \"io.containerd.runc.v2\"\nruntime_root = \"/r\"\n"
    );
    let target = Target::find(NEW).unwrap();
    let plan = plan(&document(&text), &[], &target, &Options::default());
    let to = |plan: &Plan| -> String {
        let mut fates = plan.ledger.iter().map(|entry| &entry.fate);
        fates
            .find_map(|fate| match fate {
                Fate::Converted { to, .. } => Some(to.join(" ")),
                _ => None,
            })
            .unwrap()
    };
    assert!(!to(&plan).contains("Odd"), "{}", to(&plan));
    let whole = to(&plan.exposed());
    assert!(
        whole.ends_with(".runtimes.\"Odd Name\".options.Root"),
        "{whole}"
    );
}

/// Where something is planted.
#[derive(Clone, Copy)]
enum Plant {
    /// In place of the value of every setting.
    InSetting,
    /// Under an unknown key in every table.
    Unknown,
    /// In the name of every entry of a map.
    Name,
}

impl Plant {
    fn table(self, version: i64, form: &str) -> Table {
        let mut table = Table::from([("version".to_owned(), Value::Integer(version))]);
        for leaf in leaves() {
            let path: Vec<&str> = leaf.path.iter().map(|key| &**key).collect();
            let Some(mut address) = Config::address(version, &path) else {
                continue;
            };
            let is_map = address.iter().any(|key| key == "*");
            for key in address.iter_mut().filter(|key| *key == "*") {
                *key = match self {
                    Plant::Name => form.to_owned(),
                    _ => "x".to_owned(),
                };
            }
            let key = address.last_mut().unwrap();
            let value = match self {
                _ if leaf.path == ["version"] => continue,
                // A map of images, whatever they are called.
                Plant::Unknown if leaf.path.contains(&"pinned_images") || key == "sandbox" => {
                    continue;
                }
                Plant::Name if !is_map => continue,
                Plant::Name => crate::versions::value(&leaf.setting.kind, 7),
                Plant::InSetting => Value::String(form.to_owned()),
                Plant::Unknown => {
                    *key = "nobody".to_owned();
                    Value::String(form.to_owned())
                }
            };
            put_at(&mut table, &address, value);
        }
        table
    }
}

fn put_at(table: &mut Table, path: &[String], value: Value) {
    match path {
        [] => {}
        [key] => drop(table.insert(key.clone(), value)),
        [key, rest @ ..] => {
            let inner = table.entry(key.clone());
            match inner.or_insert_with(|| Value::Table(Table::new())) {
                Value::Table(inner) => put_at(inner, rest, value),
                _ => panic!("{path:?}"),
            }
        }
    }
}

#[test]
fn no_model_shows_a_credential() {
    let text = long(PLANTED);
    let legacy = document(&text);
    hides("the document", &format!("{legacy:?}"));
    hides_all("findings", &check(&legacy));
    let config = Config::read(&legacy);
    hides("the config", &format!("{config:?} {config:#?}"));
    let registry = &config.plugins.cri.registry;
    hides(
        "the registry",
        &format!("{:?} {:?}", registry.configs, registry.headers),
    );
    hides("auths", &format!("{:?}", registry.auths));
    let (release, _) = Release::find(OLD).unwrap();
    let set = DropInSet::new([("a.toml", text.as_str())]).unwrap();
    hides("a set", &format!("{set:?}"));
    let nothing = assemble(&release, "pause", &DropInSet::default())
        .unwrap()
        .effective();
    let assembled = assemble(&release, "pause", &set).unwrap();
    hides("the files", &format!("{assembled:?}"));
    let effective = assembled.effective();
    hides("what is in effect", &format!("{effective:?}"));
    hides_all("differences", &effective.differences(&nothing));
    let (old, new) = ("1.7.24".parse().unwrap(), "2.3.3".parse().unwrap());
    let conversion = convert(registry, old, new).unwrap();
    hides("a conversion", &format!("{conversion:?}"));
}

#[test]
fn no_hosts_toml_shows_a_credential() {
    let text = "server = \"https://u:hunter03@h\"\nnobody = \"password=hunter04\"\n[host.\"https://u:hunter05@m\"]\n[host.\"https://m.example\"]\n[host.\"https://m.example\".header]\nAuthorization = \"Basic hunter01\"\n[header]\nX = [\"hunter02\"]\n";
    let file = HostsToml::parse(text, "2.1.9".parse().unwrap()).unwrap();
    hides("a file", &format!("{file:?}"));
    assert!(file.to_toml("2.1.0".parse().unwrap()).contains("hunter01"));
    let certs_d = CertsD::new("/certs.d", [("_default/hosts.toml", text)]);
    hides("a tree", &format!("{certs_d:?}"));
    let endpoints = certs_d.endpoints("docker.io", "2.1.0".parse().unwrap());
    hides("endpoints", &format!("{endpoints:?}"));
}

/// However the file is broken, the error does not quote it.
#[test]
fn no_error_shows_a_credential() {
    let text = long(PLANTED);
    for (at, _) in text.match_indices(SECRET) {
        for end in [at + 1, at + 8, at + 9] {
            for rest in ["", "\n", "\n= 1\n", "\"\"\n", " \u{1}\n", "\\q\"\n"] {
                let broken = format!("{}{rest}", &text[..end]);
                if let Err(error) = Document::parse("c.toml", broken.as_bytes()) {
                    hides("an error", &format!("{error} {error:?} {}", error.help()));
                }
                let set = DropInSet::new([("c.toml", broken.as_str())]).unwrap();
                let parsed = preflight(&set);
                hides("the pre-flight check", &format!("{parsed:?}"));
                let (release, _) = Release::find(OLD).unwrap();
                if let Err(error) = assemble(&release, "p", &set) {
                    hides("an error", &format!("{error} {error:?}"));
                }
                if let Err(error) = HostsToml::parse(&broken, "2.1.9".parse().unwrap()) {
                    hides("an error", &format!("{error} {error:?}"));
                }
            }
        }
    }
    for broken in [
        "[a]\npassword = {{ pass | default \"hunter61\" }}\n",
        "[a.\"hunter62\"]\n[a.\"hunter62\"]\n",
        "\"hunter63\" = 1\n\"hunter63\" = 2\n",
        "a = hunter64\n",
        "hunter65\n",
        "version = \"hunter66\"\n",
        "{\"password\": \"hunter67\"}\n",
        "password: hunter68\n",
    ] {
        let error = Document::parse("c.toml", broken.as_bytes()).unwrap_err();
        hides("an error", &format!("{error} {error:?} {}", error.help()));
    }
    for wrong in [
        "[CRI.registry.configs.h.auth]\npassword = [\"hunter01\"]\n",
        "[CRI.registry.configs.h]\nauth = \"hunter02\"\n",
        "[CRI.registry]\nheaders = \"hunter03\"\n",
        "[CRI.registry.headers]\nX = \"hunter04\"\n",
        "[CRI.registry.auths]\nh = \"hunter05\"\n",
        "[timeouts]\npassword = \"hunter06\"\n",
        "[proxy_plugins.p]\ntype = \"password=hunter07\"\n",
        "[CRI.containerd]\ndefault_runtime_name = \"https://u:hunter08@h\"\n",
        "[CRI]\nsandbox_image = \"https://u:hunter10@reg.example/pause\"\n",
        "[CRI.containerd]\ndefault_runtime_name = \"password=hunter11\"\n",
        "[CRI.containerd]\nsnapshotter = \"token: hunter12\"\n",
        "[CRI]\nstream_idle_timeout = \"password=hunter13\"\n",
        "required_plugins = [\"u:hunter14@h\"]\n",
        "[CRI.registry.mirrors.\"docker.io\"]\nendpoint = [\"https://u:hunter09@%zz\"]\n",
    ] {
        let wrong = document(&long(&format!("version = 2\n{wrong}")));
        hides_all("findings", &check(&wrong));
        for k0s in [OLD, NEW] {
            let options = Options::default().registry(RegistryPolicy::Convert);
            hides_plan(&plan(&wrong, &[], &Target::find(k0s).unwrap(), &options));
        }
    }
}
