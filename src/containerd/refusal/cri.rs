//! Settings of the CRI plugin: runtime handlers, the stream server, images.

use super::syntax::{
    is_bad_platform, is_bad_port, is_full_name, is_no_image, placeholder, why_no_image,
};
use super::{Check, FINDS_SANDBOX_IMAGE, Refuses, Rule};
use crate::config::table::Known;
use crate::config::{Config, known};
use crate::containerd::releases::{V1_3, V2_0, V2_3};
use crate::containerd::setting::Kind;
use crate::containerd::{duration, handler, plugin};
use crate::shown;
use crate::value::Value;

/// A runtime handler as CRI has it in the end.
struct Handler {
    name: String,
    /// The table that defines it.
    table: Vec<String>,
}

/// What containerd 1.x takes an empty name of a snapshotter for.
const DEFAULT_SNAPSHOTTER: &str = "overlayfs";

impl Handler {
    fn new(name: &str, table: &[&str]) -> Self {
        Handler {
            name: name.to_owned(),
            table: table.iter().map(|key| (*key).to_owned()).collect(),
        }
    }

    /// The path of what any handler has as `setting`.
    fn path(&self, setting: Known) -> Vec<&str> {
        let table = self.table.iter().map(String::as_str);
        table.chain([setting.key()]).collect()
    }
}

impl Check<'_> {
    pub(super) fn cri(&mut self) {
        self.handlers();
        self.stream_server();
        self.images();
        let settings = known::CRI_PLUGIN.place().settings();
        for setting in settings.filter(|setting| setting.is_duration) {
            let path = ["plugins", plugin::CRI, setting.key];
            let text = self.text(&path);
            if !text.is_empty() && duration::parse(&text).is_none() {
                let message = format!(
                    "{} is not a duration such as \"10s\"",
                    shown::duration(&text)
                );
                self.refuse(Rule::CriDuration, Refuses::Cri, &path, message);
            }
        }
        self.bin_dirs();
    }

    /// The runtime handlers, and the name of the default one. containerd 1.3 –
    /// 1.7 make handlers of the two old tables when these have a type.
    fn effective_handlers(&mut self) -> (Vec<Handler>, String) {
        let mut default = self.text(&known::DEFAULT_RUNTIME_NAME);
        let mut handlers: Vec<Handler> = Vec::new();
        for name in self.effective.entries(&known::RUNTIMES) {
            handlers.push(Handler::new(&name, &known::HANDLER.of(&[&name])));
        }
        let old = [
            (known::DEFAULT_RUNTIME, "default"),
            (known::UNTRUSTED_WORKLOAD_RUNTIME, "untrusted"),
        ];
        for (table, name) in old {
            let old = Handler::new(name, &table);
            if self.text(&old.path(known::RUNTIME_TYPE)).is_empty() {
                continue;
            }
            let there = handlers.iter().position(|handler| handler.name == name);
            if let Some(at) = there {
                // That of the name `default` is overwritten.
                handlers.swap_remove(at);
            }
            if name == "default" {
                default = name.to_owned();
            } else if there.is_some() {
                let message = "there is a runtime handler \"untrusted\" as well";
                self.refuse(Rule::UntrustedRuntime, Refuses::Cri, &table, message);
            }
            handlers.push(old);
        }
        (handlers, default)
    }

    fn handlers(&mut self) {
        // 1.2 looks when a pod asks.
        if !self.is_from(V1_3) {
            return;
        }
        let (handlers, default) = self.effective_handlers();
        let name = known::DEFAULT_RUNTIME_NAME;
        let found = handlers.iter().find(|handler| handler.name == default);
        if found.is_none() {
            let message = match default.as_str() {
                "" => "there is no default runtime handler".to_owned(),
                name => format!(
                    "the default runtime handler {:?} is not defined",
                    shown::name(name)
                ),
            };
            // Of its own, containerd has the handler that it names.
            let path = match self.is_set(&name) {
                true => name,
                false => known::RUNTIMES,
            };
            self.refuse(Rule::DefaultRuntime, Refuses::Cri, &path, message);
        }
        let default = found.map(|handler| handler.path(known::RUNTIME_TYPE));
        let default = default.map(|path| self.text(&path)).unwrap_or_default();
        for setting in [known::SYSTEMD_CGROUP, known::NO_PIVOT] {
            // Without a default handler nobody gets that far.
            if self.is_true(&setting) && found.is_some() && default != handler::LINUX_V1 {
                self.only_linux_v1(&setting, setting.key());
            }
        }
        for handler in &handlers {
            self.handler(handler);
            self.shim(handler);
            self.shim_options(handler);
        }
    }

    fn only_linux_v1(&mut self, path: &[&str], key: &str) {
        let message = format!("{key} is for {} only", handler::LINUX_V1);
        self.refuse(Rule::OnlyLinuxV1, Refuses::Cri, path, message);
    }

    fn handler(&mut self, handler: &Handler) {
        let name = shown::name(&handler.name);
        let is_linux_v1 = self.text(&handler.path(known::RUNTIME_TYPE)) == handler::LINUX_V1;
        for setting in [known::RUNTIME_ENGINE, known::RUNTIME_ROOT] {
            let path = handler.path(setting);
            if !is_linux_v1 && !self.text(&path).is_empty() {
                self.only_linux_v1(&path, setting.key());
            }
        }
        let all = handler.path(known::ALL_DEVICES_ALLOWED);
        let without = handler.path(known::WITHOUT_HOST_DEVICES);
        if self.is_true(&all) && !self.is_true(&without) {
            let message = format!("the handler {name:?} lacks `privileged_without_host_devices`");
            self.refuse(Rule::AllDevices, Refuses::Cri, &all, message);
        }
        let io_type = handler.path(known::IO_TYPE);
        if !matches!(self.text(&io_type).as_str(), "" | "fifo" | "streaming") {
            let message = format!(
                "the handler {name:?} has an `io_type` that is neither \"fifo\" nor \"streaming\""
            );
            self.refuse(Rule::IoType, Refuses::Cri, &io_type, message);
        }
        let path = handler.path(known::HANDLERS_SNAPSHOTTER);
        let snapshotter = self.text(&path);
        if let Err(why) = self.loaded(plugin::SNAPSHOTTER, &snapshotter)
            && !snapshotter.is_empty()
        {
            let message = format!(
                "the snapshotter {:?} of the handler {name:?} is not loaded: {why}",
                shown::name(&snapshotter)
            );
            self.refuse(Rule::RuntimeSnapshotter, Refuses::Sandbox, &path, message);
        }
    }

    /// What a handler's pods fail for, its shim being what it is.
    fn shim(&mut self, handler: &Handler) {
        let name = shown::name(&handler.name);
        let path = handler.path(known::RUNTIME_TYPE);
        let kind = self.text(&path);
        let is_gone = self.release.is_2() && handler::OLD_TYPES.contains(&kind.as_str());
        let table: Vec<&str> = handler.table.iter().map(String::as_str).collect();
        if kind.is_empty() {
            let message = format!("the handler {name:?} has no `runtime_type`");
            let path = if self.is_set(&path) { &path } else { &table };
            self.refuse(Rule::RuntimeType, Refuses::Sandbox, path, message);
        } else if is_gone {
            let message = format!("there is no shim of the type {kind} of the handler {name:?}");
            self.refuse(Rule::RuntimeType, Refuses::Sandbox, &path, message);
        }
        if !self.release.is_2() {
            return;
        }
        let is_runc = kind == handler::RUNC_V2;
        let path = handler.path(known::IO_TYPE);
        if is_runc && self.text(&path) == "streaming" {
            let message = format!("the shim of the handler {name:?} has no streams but FIFOs");
            self.refuse(Rule::IoType, Refuses::Sandbox, &path, message);
        }
        let path = handler.path(known::SANDBOX_MODE);
        let message = match self.text(&path).as_str() {
            "" | "podsandbox" => return,
            "shim" if !is_runc => return,
            "shim" => format!(
                "the shim of the handler {name:?} makes no sandboxes, which `sandboxer` has it make{}",
                // As 2.1.9 and 2.2.7 do.
                match self.is_from(V2_3) {
                    true => "",
                    false => "; up to containerd 2.2 the daemon crashes",
                }
            ),
            proxy if self.has_sandboxer(proxy) => return,
            other => format!(
                "the handler {name:?} has the sandboxer {:?}, which is none",
                shown::name(other)
            ),
        };
        self.refuse(Rule::Sandboxer, Refuses::Sandbox, &path, message);
    }

    /// What containerd cannot make the options of the handler's shim of. 2.x minds
    /// no upper and lower case in their names, 1.x reads the first of some
    /// spellings.
    fn shim_options(&mut self, handler: &Handler) {
        let kind = self.text(&handler.path(known::RUNTIME_TYPE));
        if self.release.is_2() && handler::OLD_TYPES.contains(&kind.as_str()) {
            return;
        }
        let path = handler.path(known::OPTIONS);
        let options = self.effective.set_value(&path).and_then(Value::as_table);
        let (Some(options), Some(place)) = (options, Config::place_of(&path)) else {
            return;
        };
        let mut wrong = Vec::new();
        place.each_declared(&mut |name, option| {
            if !handler::has_option(&kind, name) || !option.known_in(self.release) {
                return;
            }
            let same: Vec<_> = match self.release.is_2() {
                true => options
                    .iter()
                    .filter(|(key, _)| key.eq_ignore_ascii_case(name))
                    .collect(),
                false => {
                    let mut keys = handler::spellings(name).into_iter();
                    let found = keys.find_map(|key| options.get_key_value(&key));
                    found.into_iter().collect()
                }
            };
            wrong.extend(same.into_iter().filter_map(|(key, value)| {
                let message = match value {
                    // All of them are unsigned, and of 32 bits.
                    Value::Integer(n) if matches!(option.kind(), Kind::Int) => u32::try_from(*n)
                        .err()
                        .map(|_| format!("{n} is out of range")),
                    value => option.mismatch(value, self.release),
                };
                Some((key.clone(), message?))
            }));
        });
        for (key, message) in wrong {
            let mut path = path.clone();
            path.push(&key);
            self.refuse(Rule::RuntimeOptions, Refuses::Sandbox, &path, message);
        }
    }

    fn stream_server(&mut self) {
        let (cert, key) = (known::STREAM_CERT, known::STREAM_KEY);
        let set = [cert, key].map(|path| !self.text(&path).is_empty());
        let is_on = self.is_true(&known::ENABLE_TLS_STREAMING);
        let message = match (is_on, set) {
            (_, [false, false]) | (true, [true, true]) => None,
            (false, _) => Some("the key pair is set and `enable_tls_streaming` is not"),
            (true, _) => Some("of the certificate and its key only one is set"),
        };
        if let Some(message) = message {
            let path = if set == [false, true] { key } else { cert };
            self.refuse(Rule::StreamKeyPair, Refuses::Cri, &path, message);
        }
        let port = known::STREAM_SERVER_PORT;
        if is_bad_port(&self.text(&port)) {
            let message = "this is no number of a port";
            self.refuse(Rule::StreamPort, Refuses::Daemon, &port, message);
        }
    }

    fn images(&mut self) {
        let path = known::SNAPSHOTTER;
        let mut snapshotter = self.text(&path);
        if snapshotter.is_empty() && !self.release.is_2() {
            snapshotter = DEFAULT_SNAPSHOTTER.to_owned();
        }
        if let Err(why) = self.loaded(plugin::SNAPSHOTTER, &snapshotter) {
            let shown = shown::name(&snapshotter);
            let message = format!("the snapshotter {shown:?} is not loaded: {why}");
            let path = self.naming(path);
            self.refuse(Rule::Snapshotter, Refuses::Cri, &path, message);
        }
        for name in self.effective.entries(&known::RUNTIME_PLATFORMS) {
            let path = known::HANDLERS_PLATFORM.of(&[&name]);
            let platform = self.text(&path);
            if !platform.is_empty() && is_bad_platform(&platform) {
                let message = format!(
                    "{:?} is not a platform such as \"linux/amd64\"",
                    shown::text(&platform)
                );
                self.refuse(Rule::RuntimePlatform, Refuses::Cri, &path, message);
            }
        }
        let timeout = known::IMAGE_PULL_PROGRESS_TIMEOUT;
        if self.is_known(&timeout) && self.text(&timeout).is_empty() {
            let message = "the duration is empty; write \"0s\" for no timeout";
            self.refuse(Rule::PullTimeout, Refuses::Pull, &timeout, message);
        }
        self.stats_periods();
        self.sandbox_image();
    }

    /// A ticker wants a positive period. The collector that 2.3 has for
    /// containers takes an empty one for its own.
    fn stats_periods(&mut self) {
        let images = known::STATS_COLLECT_PERIOD;
        let containers = known::RUNTIME_STATS_COLLECT_PERIOD;
        let of_images = matches!(self.value(&images), Some(Value::Integer(..=0)));
        let of_containers = duration::parse(&self.text(&containers)).is_some_and(|d| d <= 0);
        let is_panic = match self.is_from(V2_3) {
            true => of_containers.then_some(containers),
            false => of_images.then_some(images),
        };
        if let Some(path) = is_panic {
            let message = "containerd panics where this is not positive";
            self.refuse(Rule::StatsPeriod, Refuses::Daemon, &path, message);
        }
    }

    /// containerd 2.3.0 – 2.3.3 look the sandbox image up by the very text, where
    /// the store has it by its full name, without the tag beside a digest
    /// (containerd#13529, awslabs/amazon-eks-ami#2729). 2.x takes its own for an
    /// empty one, 1.x none.
    fn sandbox_image(&mut self) {
        let path = known::SANDBOX_IMAGE;
        let image = self.text(&path);
        let is_literal = self.is_from(V2_3) && self.release < FINDS_SANDBOX_IMAGE;
        let (rule, message) = match image.as_str() {
            "" if self.release.is_2() => return,
            "" => (
                Rule::SandboxImage,
                "there is no sandbox image".to_owned(),
            ),
            image if is_no_image(image) => {
                let why = match (placeholder(image), why_no_image(image)) {
                    (Some(left), _) => match shown::harmless(left) {
                        Some(left) => format!("the placeholder {left} was left in"),
                        None => "a placeholder was left in".to_owned(),
                    },
                    (None, why) => why.unwrap_or_default().to_owned(),
                };
                let image = shown::text(image);
                let message =
                    format!("the sandbox image {image:?} is no reference of an image: {why}");
                return self.refuse(Rule::ImageReference, Refuses::Sandbox, &path, message);
            }
            image if is_literal && !is_full_name(image) => (
                Rule::SandboxImage,
                "containerd does not find the sandbox image by a name that lacks the registry's host, or that has a tag and a digest, or neither".to_owned(),
            ),
            _ => return,
        };
        self.refuse(rule, Refuses::Sandbox, &path, message);
    }

    fn bin_dirs(&mut self) {
        let (dir, dirs) = (known::BIN_DIR, known::BIN_DIRS);
        let is_default =
            |value: Value| value.is_zero() || dirs.place().is_default(&value, self.release);
        let has_others = self.value(&dirs).is_some_and(|dirs| !is_default(dirs));
        if self.is_from(V2_0) && has_others && !self.text(&dir).is_empty() {
            let message = "there are `bin_dirs` as well";
            self.refuse(Rule::BinDirs, Refuses::Cri, &dir, message);
        }
    }
}
