//! Large inputs of every kind that a file can grow in, each a function of one
//! number: the time and the memory that they take must grow as that number does.

use std::fmt::Write as _;

/// A kind of input.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// What there is many of.
    pub name: &'static str,
    /// The texts of the files. Of several, each is a drop-in.
    pub make: fn(usize) -> Vec<String>,
}

const CRI: &str = "plugins.\"io.containerd.grpc.v1.cri\"";

/// A file of version 2 with `count` lines behind its head.
fn file(head: &str, count: usize, line: impl Fn(usize) -> String) -> Vec<String> {
    let mut text = format!("version = 2\n{head}");
    (0..count).for_each(|at| text.push_str(&line(at)));
    vec![text]
}

/// A value between brackets or braces, in a file of version 2.
fn inside([open, close]: [&str; 2], count: usize, entry: impl Fn(usize) -> String) -> Vec<String> {
    let mut texts = file(open, count, entry);
    texts.iter_mut().for_each(|text| text.push_str(close));
    texts
}

/// Drop-ins of version 2.
fn drop_ins(count: usize, text: impl Fn(usize) -> String) -> Vec<String> {
    let texts = (0..count).map(|at| format!("version = 2\n{}", text(at)));
    texts.collect()
}

fn mirror(at: usize) -> String {
    format!(
        "[{CRI}.registry.mirrors.\"registry-{at}.example:5000\"]\n  \
         endpoint = [\"https://mirror-{at}.example\", \"https://other-{at}.example/v2\"]\n"
    )
}

fn tls(host: &str) -> String {
    format!(
        "[{CRI}.registry.configs.\"{host}\".tls]\n  ca_file = \"/etc/ssl/{host}.pem\"\n  insecure_skip_verify = true\n"
    )
}

fn auth(host: &str) -> String {
    format!("[{CRI}.registry.configs.\"{host}\".auth]\n  username = \"u\"\n  password = \"p\"\n")
}

fn handler(at: usize) -> String {
    format!("[{CRI}.containerd.runtimes.r{at}]\n  runtime_type = \"io.containerd.runc.v2\"\n")
}

/// All kinds.
pub const SHAPES: &[Shape] = &[
    Shape {
        name: "mirrors",
        make: |count| file("", count, mirror),
    },
    Shape {
        name: "mirrors, tls, auth",
        make: |count| {
            file("", count, |at| {
                let host = format!("mirror-{at}.example");
                format!("{}{}{}", mirror(at), tls(&host), auth(&host))
            })
        },
    },
    Shape {
        name: "tls without mirrors",
        make: |count| file("", count, |at| tls(&format!("h{at}.example"))),
    },
    Shape {
        name: "auth without mirrors",
        make: |count| file("", count, |at| auth(&format!("h{at}.example"))),
    },
    Shape {
        name: "auths",
        make: |count| {
            file("", count, |at| {
                format!(
                    "[{CRI}.registry.auths.\"https://h{at}.example\"]\n  username = \"u\"\n  password = \"p\"\n"
                )
            })
        },
    },
    Shape {
        name: "endpoints of one host",
        make: |count| {
            let open = format!("[{CRI}.registry.mirrors.\"docker.io\"]\nendpoint = [");
            inside([&open, "]\n"], count, |at| {
                format!("\"https://m{at}.example\", ")
            })
        },
    },
    Shape {
        name: "endpoints of * with tls",
        make: |count| {
            let open = format!("[{CRI}.registry.mirrors.\"*\"]\nendpoint = [");
            let mut texts = inside([&open, "]\n"], count, |at| {
                format!("\"https://m{at}.example\", ")
            });
            let hosts: String = (0..count)
                .map(|at| tls(&format!("m{at}.example")))
                .collect();
            texts.iter_mut().for_each(|text| text.push_str(&hosts));
            texts
        },
    },
    Shape {
        name: "hosts of one endpoint with tls",
        make: |count| {
            let head = tls("mirror.example");
            file(&head, count, |at| {
                format!(
                    "[{CRI}.registry.mirrors.\"h{at}.example\"]\n  endpoint = [\"https://mirror.example\"]\n"
                )
            })
        },
    },
    Shape {
        name: "headers of one host",
        make: |count| {
            let open = format!("[{CRI}.registry.headers]\n");
            file(&open, count, |at| format!("X-{at} = [\"v\"]\n"))
        },
    },
    Shape {
        name: "handlers",
        make: |count| file("", count, handler),
    },
    Shape {
        name: "handlers with options",
        make: |count| {
            file("", count, |at| {
                format!(
                    "{}  pod_annotations = [\"a.*\"]\n[{CRI}.containerd.runtimes.r{at}.options]\n  BinaryName = \"/usr/bin/r{at}\"\n  SystemdCgroup = true\n",
                    handler(at)
                )
            })
        },
    },
    Shape {
        name: "old handlers",
        make: |count| {
            file("", count, |at| {
                format!(
                    "[{CRI}.containerd.runtimes.r{at}]\n  runtime_type = \"io.containerd.runtime.v1.linux\"\n  runtime_engine = \"/usr/bin/r{at}\"\n  runtime_root = \"/run/r{at}\"\n"
                )
            })
        },
    },
    Shape {
        name: "handlers with snapshotters",
        make: |count| {
            file("", count, |at| {
                format!(
                    "{}  snapshotter = \"p{at}\"\n[proxy_plugins.p{at}]\n  type = \"snapshot\"\n  address = \"/run/p{at}.sock\"\n",
                    handler(at)
                )
            })
        },
    },
    Shape {
        name: "handlers without type",
        make: |count| {
            file("", count, |at| {
                format!("[{CRI}.containerd.runtimes.r{at}]\n")
            })
        },
    },
    Shape {
        name: "options of one handler",
        make: |count| {
            let head = format!("{}[{CRI}.containerd.runtimes.r0.options]\n", handler(0));
            file(&head, count, |at| format!("Option{at} = {at}\n"))
        },
    },
    Shape {
        name: "plugin sections",
        make: |count| {
            file("", count, |at| {
                format!("[plugins.\"io.containerd.x.v1.p{at}\"]\n  a = {at}\n")
            })
        },
    },
    Shape {
        name: "plugin sections by short names",
        make: |count| file("", count, |at| format!("[plugins.p{at}]\n  a = {at}\n")),
    },
    Shape {
        name: "plugin sections of version 1",
        make: |count| {
            let sections = (0..count).map(|at| format!("[plugins.p{at}]\n  a = {at}\n"));
            vec![sections.collect()]
        },
    },
    Shape {
        name: "plugin sections of version 3",
        make: |count| {
            let sections = (0..count)
                .map(|at| format!("[plugins.\"io.containerd.x.v1.p{at}\"]\n  a = {at}\n"));
            vec![format!("version = 3\n{}", sections.collect::<String>())]
        },
    },
    Shape {
        name: "proxy plugins",
        make: |count| {
            file("", count, |at| {
                format!(
                    "[proxy_plugins.p{at}]\n  type = \"snapshot\"\n  address = \"/run/p{at}.sock\"\n"
                )
            })
        },
    },
    Shape {
        name: "proxy plugins without type",
        make: |count| file("", count, |at| format!("[proxy_plugins.p{at}]\n")),
    },
    Shape {
        name: "stream processors",
        make: |count| {
            file("", count, |at| {
                format!(
                    "[stream_processors.\"s{at}\"]\n  accepts = [\"a{at}\"]\n  returns = \"b\"\n  path = \"/usr/bin/s{at}\"\n"
                )
            })
        },
    },
    Shape {
        name: "timeouts",
        make: |count| {
            file("[timeouts]\n", count, |at| {
                format!("\"io.containerd.timeout.t{at}\" = \"{at}s\"\n")
            })
        },
    },
    Shape {
        name: "disabled plugins",
        make: |count| {
            inside(["disabled_plugins = [", "]\n"], count, |at| {
                format!("\"io.containerd.x.v1.p{at}\", ")
            })
        },
    },
    Shape {
        name: "required plugins",
        make: |count| {
            inside(["required_plugins = [", "]\n"], count, |at| {
                format!("\"io.containerd.x.v1.p{at}\", ")
            })
        },
    },
    Shape {
        name: "imports",
        make: |count| {
            inside(["imports = [", "]\n"], count, |at| {
                format!("\"/etc/x/{at}.toml\", \"/etc/y{at}/*.toml\", ")
            })
        },
    },
    Shape {
        name: "unknown keys at the top",
        make: |count| file("", count, |at| format!("k{at} = {at}\n")),
    },
    Shape {
        name: "unknown keys of CRI",
        make: |count| {
            let head = format!("[{CRI}]\n");
            file(&head, count, |at| format!("k{at} = {at}\n"))
        },
    },
    Shape {
        name: "keys in the wrong case",
        make: |count| {
            file("", count, |at| {
                format!(
                    "[{CRI}.Registry.mirrors.\"h{at}.example\"]\n  Endpoint = [\"https://m{at}.example\"]\n"
                )
            })
        },
    },
    Shape {
        name: "values of the wrong type",
        make: |count| {
            file("", count, |at| {
                format!("[{CRI}.containerd.runtimes.r{at}]\n  runtime_type = {at}\n")
            })
        },
    },
    Shape {
        name: "tables of one key",
        make: |count| file("", count, |at| format!("[{CRI}.x.y{at}]\n")),
    },
    Shape {
        name: "tables in a list",
        make: |count| file("", count, |at| format!("[[{CRI}.x]]\n  y = {at}\n")),
    },
    Shape {
        name: "inline tables",
        make: |count| {
            let open = format!("[{CRI}]\nx = {{ ");
            inside([&open, "z = 1 }\n"], count, |at| {
                format!("k{at} = {{ a = {at} }}, ")
            })
        },
    },
    Shape {
        name: "numbers in a list",
        make: |count| {
            let open = format!("[{CRI}]\nx = [");
            inside([&open, "]\n"], count, |at| format!("{}, ", at % 10))
        },
    },
    Shape {
        name: "deep dotted keys",
        make: |count| {
            let deep = "a.".repeat(60);
            let head = format!("[{CRI}.x]\n");
            file(&head, count.div_ceil(60), |at| {
                format!("k{at}.{deep}a = 1\n")
            })
        },
    },
    Shape {
        name: "deep headers",
        make: |count| {
            let deep = "a.".repeat(60);
            file("", count.div_ceil(60), |at| {
                format!("[{CRI}.k{at}.{deep}a]\n")
            })
        },
    },
    Shape {
        name: "long strings",
        make: |count| {
            let long = "y".repeat(1000);
            let head = format!("[{CRI}]\n");
            file(&head, count.div_ceil(10), |at| {
                format!("k{at} = \"{long}\"\n")
            })
        },
    },
    Shape {
        name: "one string",
        make: |count| vec![format!("version = 2\nx = \"{}\"\n", "y".repeat(count * 20))],
    },
    Shape {
        name: "one line",
        make: |count| inside(["x = { ", "z = 1 }\n"], count, |at| format!("k{at} = 1, ")),
    },
    Shape {
        name: "comments",
        make: |count| {
            let head = format!("[{CRI}]\n");
            let mut texts = file(&head, count, |at| format!("# comment {at}\n"));
            texts
                .iter_mut()
                .for_each(|text| text.push_str("max_concurrent_downloads = 7\n"));
            texts
        },
    },
    Shape {
        name: "commented keys",
        make: |count| {
            let head = format!("[{CRI}]\n");
            file(&head, count, |at| {
                format!("# about {at}\nk{at} = {at} # so\n")
            })
        },
    },
    Shape {
        name: "blank lines",
        make: |count| vec![format!("version = 2\n{}", "\n".repeat(count * 4))],
    },
    Shape {
        name: "drop-ins",
        make: |count| {
            drop_ins(count, |at| {
                format!("[plugins.\"io.containerd.x.v1.p{at}\"]\n  a = {at}\n")
            })
        },
    },
    Shape {
        name: "drop-ins with a handler",
        make: |count| drop_ins(count, handler),
    },
    Shape {
        name: "drop-ins with a mirror",
        make: |count| drop_ins(count, mirror),
    },
    Shape {
        name: "drop-ins with one key",
        make: |count| {
            drop_ins(count, |at| {
                format!("[{CRI}]\n  max_concurrent_downloads = {}\n", at + 4)
            })
        },
    },
    Shape {
        name: "drop-ins with lists",
        make: |count| {
            drop_ins(count, |at| {
                format!("disabled_plugins = [\"io.containerd.x.v1.p{at}\"]\n")
            })
        },
    },
    Shape {
        name: "keys that are nearly right",
        make: |count| {
            let head = format!("[{CRI}]\n");
            file(&head, count, |at| format!("sandbox_image{at} = \"a\"\n"))
        },
    },
    Shape {
        name: "files that decide the same",
        make: |count| {
            let one = |value: &str| {
                let keys = (0..count).map(|at| format!("k{at} = \"{value}\"\n"));
                format!("version = 2\n[{CRI}]\n{}", keys.collect::<String>())
            };
            vec![one("a"), one("b")]
        },
    },
    Shape {
        name: "drop-ins that import",
        make: |count| {
            drop_ins(count, |at| {
                format!(
                    "imports = [\"nested/{at}.toml\", \"/etc/x{at}/*.toml\"]\n[debug]\n  level = \"info\"\n"
                )
            })
        },
    },
    Shape {
        name: "drop-ins with a plain file",
        make: |count| drop_ins(count, |_| String::new()),
    },
    Shape {
        name: "drop-ins with the stream server",
        make: |count| {
            drop_ins(count, |at| {
                format!("[{CRI}]\n  stream_server_port = \"{at}\"\n")
            })
        },
    },
];

/// Names of drop-ins, which sort as their numbers do.
pub fn drop_in_name(directory: &str, at: usize) -> String {
    let mut name = directory.to_owned();
    let _ = write!(name, "/{at:06}.toml");
    name
}

/// The text of a `hosts.toml` with that many hosts.
pub fn hosts_toml(count: usize) -> String {
    let mut text = "server = \"https://registry.example\"\n".to_owned();
    for at in 0..count {
        let _ = write!(
            text,
            "[host.\"https://m{at}.example\"]\n  capabilities = [\"pull\", \"resolve\"]\n  ca = \"/etc/ssl/{at}.pem\"\n"
        );
    }
    text
}

/// A list of that many images of an airgap bundle.
pub fn images(count: usize) -> String {
    let images = (0..count).map(|at| format!("h{at}.example/pose-{at}:{at}.1\n"));
    images.collect()
}
